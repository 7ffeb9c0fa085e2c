"""Data preparation of IEMOCAP: from the raw release to a word-timed manifest.

The corpus is licensed: https://sail.usc.edu/iemocap/. Nothing is downloaded."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from speechbrain.utils.logger import get_logger
from speechbrain_can.alignment.readers.sphinx import read_wdseg
from speechbrain_can.alignment.words import (
    AlignmentError,
    clean_words,
    fit_to_audio,
    tile_words,
)
from speechbrain_can.controlled.generator import make_corpus
from speechbrain_can.corpus.manifest import DATA_ROOT, Utterance
from speechbrain_can.corpus.preparation import CorpusError, prepare_corpus
from speechbrain_can.io.audio import audio_duration
from speechbrain_can.io.files import decode, read_json

logger = get_logger(__name__)

# Of what is made of the release: prepared folders of another are made anew.
VERSION = 2

# Where the files are that the manifest is made of
SOURCES = (
    "Session?/dialog/EmoEvaluation/*.txt",
    "Session?/dialog/transcriptions/*.txt",
    "Session?/sentences/wav/*/*.wav",
    "Session?/sentences/ForcedAlignment/*/*.wdseg",
)

# From the labels of the release to the classes of an experiment.
CLASS_SETS = {
    7: {name: name for name in "ang exc hap sad fru sur neu".split()},
    6: {name: name for name in "ang exc hap sad fru neu".split()},
    4: {
        "ang": "ang",
        "hap": "hap",
        "exc": "hap",
        "sad": "sad",
        "neu": "neu",
    },
}
LABELS = {*CLASS_SETS[7], "fea", "dis", "oth", "xxx"}
# Section 4.1 of the paper. The release has one more excited utterance.
PAPER_COUNTS = {
    "ang": 1103,
    "exc": 1040,
    "hap": 595,
    "sad": 1084,
    "fru": 1849,
    "sur": 107,
    "neu": 1708,
}
N_SESSIONS = 5

_LABEL_LINE = re.compile(
    r"\[\d+\.\d+ - \d+\.\d+\]\t(?P<id>\S+)\t(?P<label>\S+)\t\["
)
# C-E1 to C-E6 are raters; C-F1 and C-M1 are the actors, of themselves.
_VOTE_LINE = re.compile(r"C-E\d+:\s*(?P<labels>[^()]*?);?\s*\(")
_TRANSCRIPTION_LINE = re.compile(
    r"(?P<id>\S+) \[[\d.]+-[\d.]+\]: ?(?P<text>.*)"
)


@dataclass(frozen=True)
class Turn:
    """A labelled turn of the release.

    Arguments
    ---------
    utterance_id : str
        As in ``Ses03M_impro05a_F001``.
    session : str
        The session's number.
    emotion : str
        Its class.
    transcription : str
        Its text as the release writes it.
    """

    utterance_id: str
    session: str
    emotion: str
    transcription: str

    @property
    def dialog(self):
        """As in ``Ses03M_impro05a``: the letter is not the talker's."""
        return self.utterance_id.rpartition("_")[0]

    @property
    def speaker(self):
        """As in ``Ses03F``: the talker is the letter of the last part."""
        return self.utterance_id[:5] + self.utterance_id.rpartition("_")[2][0]


def prepare_iemocap(
    data_folder,
    save_folder,
    classes=7,
    protocol="random10",
    fold_seed=1234,
    controlled_corpus=None,
):
    """Prepares IEMOCAP, unless it is prepared already.

    Writes ``manifest.csv``, ``skipped.csv``, ``corpus.json`` and
    ``folds_<protocol>.csv``.

    Arguments
    ---------
    data_folder : str or None
        The folder of the release that holds ``Session1`` to ``Session5``; None
        for the controlled corpus.
    save_folder : str
        Where to write.
    classes : int
        7 (the paper's), 6 (without surprise) or 4 (excited counts as happy).
    protocol : str
        ``random10`` (the paper's) or ``leave_one_session_out``.
    fold_seed : int
        Seed of random folds.
    controlled_corpus : dict or None
        Arguments of ``make_corpus``, whose corpus stands in where the licensed
        one is not given.

    Raises
    ------
    CorpusError
        If the folder is not the release, or nothing in it can be used.
    """
    if data_folder is None and controlled_corpus is not None:
        data_folder = controlled_corpus["folder"]
        print(
            f"No data_folder is given: using the controlled corpus {data_folder}"
        )
        make_corpus(**controlled_corpus)
    if classes not in CLASS_SETS:
        raise CorpusError(
            f"classes is {classes!r}; choose one of {sorted(CLASS_SETS)}"
        )
    class_of = CLASS_SETS[classes]
    sessions = find_sessions(data_folder)
    # A generated corpus describes itself in plan.json: its scores are its own.
    controlled = (Path(data_folder) / "plan.json").exists()
    generator = Path(data_folder) / "generator.json"
    votes = {}

    def find_candidates():
        turns, skipped = find_turns(sessions, class_of)
        votes.update(find_votes(sessions))
        return turns, skipped

    prepare_corpus(
        folder=save_folder,
        name="controlled corpus (IEMOCAP layout)" if controlled else "IEMOCAP",
        classes=list(dict.fromkeys(class_of.values())),
        data_folder=data_folder,
        protocol=protocol,
        fold_seed=fold_seed,
        rule={
            "version": VERSION,
            "labels": class_of,
            "alignment": "ForcedAlignment/*.wdseg",
            "generator": read_json(generator) if generator.exists() else None,
        },
        find_candidates=find_candidates,
        build_utterance=lambda turn: _with_votes(
            build_utterance(turn, data_folder), votes, class_of
        ),
        reference_counts=None if controlled else paper_counts(class_of),
        sources=SOURCES,
    )


def paper_counts(class_of):
    """The paper's utterances a class, under any class set.

    Arguments
    ---------
    class_of : dict of str: str
        From labels to classes.

    Returns
    -------
    dict of str: int
        The counts.
    """
    counts = dict.fromkeys(class_of.values(), 0)
    for label, name in class_of.items():
        counts[name] += PAPER_COUNTS[label]
    return counts


def find_sessions(data_folder):
    """Finds the sessions of a release.

    Arguments
    ---------
    data_folder : str
        The folder that holds ``Session1`` to ``Session5``.

    Returns
    -------
    list of Path
        Their folders, in order.

    Raises
    ------
    CorpusError
        If the folder does not exist or is at the wrong level of the release.
    """
    folder = Path(data_folder)
    if not folder.is_dir():
        raise CorpusError(
            f"data_folder {folder} does not exist; give the folder that holds "
            "Session1 to Session5"
        )
    if (folder / "dialog").is_dir() or (folder / "sentences").is_dir():
        raise CorpusError(
            f"data_folder {folder} is a single session; give the folder above "
            f"it, {folder.absolute().parent}"
        )
    sessions = sorted(folder.glob("Session[0-9]"))
    if not sessions:
        below = sorted(path.parent for path in folder.glob("*/Session1"))
        hint = f"; give {below[0]}" if below else ""
        raise CorpusError(
            f"data_folder {folder} has no Session1 to Session5{hint}"
        )
    if len(sessions) < N_SESSIONS:
        logger.warning(
            f"{folder} has {len(sessions)} of {N_SESSIONS} sessions: "
            + ", ".join(session.name for session in sessions)
        )
    return sessions


def find_turns(sessions, class_of):
    """Lists the turns of a release and sorts out those of other classes.

    Arguments
    ---------
    sessions : list of Path
        Folders of the sessions.
    class_of : dict of str: str
        From labels to classes.

    Returns
    -------
    turns : list of Turn
        Those whose label has a class.
    skipped : list of (str, str)
        ID and reason of the others.
    """
    turns, skipped, seen = [], [], set()
    for session in sessions:
        texts = {
            match["id"]: match["text"]
            for _, line in _lines(session / "dialog" / "transcriptions")
            for match in [_TRANSCRIPTION_LINE.match(line)]
            if match
        }
        for place, line in _lines(session / "dialog" / "EmoEvaluation"):
            if not line.lstrip().startswith("["):
                continue  # what the raters said, one by one
            match = _LABEL_LINE.match(line)
            if match is None:
                skipped.append((place, f"unreadable label line {line!r}"))
                continue
            utterance_id, label = match["id"], match["label"]
            if utterance_id in seen:
                skipped.append((utterance_id, f"duplicate ID, as {label!r}"))
            elif label not in LABELS:
                skipped.append((utterance_id, f"unknown label {label!r}"))
            elif label not in class_of:
                skipped.append(
                    (utterance_id, f"label {label!r} is not one of the classes")
                )
            else:
                turns.append(
                    Turn(
                        utterance_id=utterance_id,
                        session=session.name[-1],
                        emotion=class_of[label],
                        transcription=texts.get(utterance_id, "").strip(),
                    )
                )
            seen.add(utterance_id)
        for wav in sorted(session.glob("sentences/wav/*/Ses*.wav")):
            if wav.stem not in seen:
                skipped.append((wav.stem, "no label in EmoEvaluation"))
    return turns, skipped


def _lines(folder):
    """Lines of the text files of a folder, each with its place, sorted."""
    if not folder.is_dir():
        raise CorpusError(
            f"{folder} does not exist; the release is not complete"
        )
    for path in sorted(folder.glob("*.txt")):
        if path.name.startswith("._") or not path.is_file():
            continue  # AppleDouble: not text
        lines = decode(path.read_bytes()).splitlines()
        for number, line in enumerate(lines, start=1):
            yield f"{path.name}, line {number}", line


def build_utterance(turn, data_folder):
    """Reads audio and alignment of a turn.

    Arguments
    ---------
    turn : Turn
        The turn.
    data_folder : str
        The release.

    Returns
    -------
    utterance : Utterance
        A row of the manifest.
    adjustment : None
        It is taken as it is.

    Raises
    ------
    AudioError, AlignmentError
        If audio or alignment cannot be used.
    """
    sentences = f"Session{turn.session}/sentences"
    wav = f"{sentences}/wav/{turn.dialog}/{turn.utterance_id}.wav"
    duration = audio_duration(Path(data_folder) / wav)
    wdseg = (
        Path(data_folder)
        / f"{sentences}/ForcedAlignment/{turn.dialog}/{turn.utterance_id}.wdseg"
    )
    if not wdseg.is_file():
        raise AlignmentError(f"{wdseg}: no such alignment file")
    rows = read_wdseg(wdseg)
    try:
        rows = fit_to_audio(rows, duration)
        words = tile_words(clean_words(rows), end=rows[-1].end if rows else 0)
    except AlignmentError as error:
        raise AlignmentError(f"{wdseg}: {error}")
    utterance = Utterance(
        utterance_id=turn.utterance_id,
        duration=duration,
        wav=f"{DATA_ROOT}/{wav}",
        speaker=turn.speaker,
        session=turn.session,
        dialog=turn.dialog,
        scripted="script" in turn.dialog,
        emotion=turn.emotion,
        words=words,
        transcription=turn.transcription,
    )
    return utterance, None


def find_votes(sessions):
    """What the raters said of each turn, one by one.

    Arguments
    ---------
    sessions : list of Path
        Folders of the sessions.

    Returns
    -------
    dict of str: Counter
        Votes by label and utterance. A rater has one vote, shared by the labels
        that were given, under the first three letters of each (``Neutral
        state`` is ``neu``).
    """
    votes = defaultdict(Counter)
    for session in sessions:
        utterance_id = None
        for _, line in _lines(session / "dialog" / "EmoEvaluation"):
            if match := _LABEL_LINE.match(line):
                utterance_id = match["id"]
            match = _VOTE_LINE.match(line)
            if match and utterance_id:
                given = match["labels"].split(";")
                labels = [label.strip()[:3].lower() for label in given]
                for label in labels:
                    votes[utterance_id][label] += 1 / len(labels)
    return votes


def _with_votes(built, votes, class_of):
    """A built utterance with the votes for classes; others do not count."""
    utterance, adjustment = built
    counts = Counter()
    for label, share in votes.get(utterance.utterance_id, {}).items():
        if label in class_of:
            counts[class_of[label]] += share
    text = " ".join(f"{name}:{counts[name]:g}" for name in sorted(counts))
    return replace(utterance, votes=text), adjustment
