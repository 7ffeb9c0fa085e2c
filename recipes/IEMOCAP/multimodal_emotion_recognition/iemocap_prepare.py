"""Data preparation of IEMOCAP: labels, transcripts and alignments of the release.

The corpus is licensed: https://sail.usc.edu/iemocap/.
"""

import re
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

from speechbrain.utils.logger import get_logger
from speechbrain_can.alignment.readers.entries import numbered_lines
from speechbrain_can.corpus.preparation import CorpusSource, prepare_corpus
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.corpus.recordings import LabeledRecording
from speechbrain_can.io.files import is_listed

logger = get_logger(__name__)

# Maps the labels of the release to classes, by number of classes
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
# Section 4.1 of the paper; the release has one more utterance labeled excited
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
SEX = defaultdict(str, F="female", M="male")
DIMENSIONS = ("valence", "arousal", "dominance")  # in the order of the release

# Some copies of the release have spaces instead of tabs.
LABEL_LINE = re.compile(
    r"\s*\[\s*[\d.]+\s*-\s*[\d.]+\s*\]\s+(?P<id>\S+)\s+(?P<label>\S+)\s+\["
    r"(?P<dimensions>[^\]]*)"
)
# Copies of files, such as "Ses01F_impro01 (1).txt"
COPY = re.compile(r"(\(\d+\)|[ _-]copy)$", flags=re.IGNORECASE)
# C-E1 to C-E6 are raters; C-F1 and C-M1 are self-assessments of the actors.
VOTE_LINE = re.compile(r"C-E\d+:\s*(?P<labels>[^()]*?);?\s*\(")
TRANSCRIPTION_LINE = re.compile(r"(?P<id>\S+) \[[\d.]+-[\d.]+\]: ?(?P<text>.*)")


def prepare_iemocap(
    data_folder, save_folder, classes=7, protocol="random10", fold_seed=1234
):
    """Prepare IEMOCAP, unless it is already prepared.

    Arguments
    ---------
    data_folder : str
        The folder of the release that contains ``Session1`` to ``Session5``.
    save_folder : str
        Output folder.
    classes : int
        7 (the paper's), 6 (without surprise) or 4 (excited counts as happy).
    protocol : str
        ``random10`` (the paper's), ``leave_one_session_out`` or another protocol.
    fold_seed : int
        Seed of random folds.

    Raises
    ------
    CorpusError
        If the folder is not the release, or no utterance is usable.
    """
    source = iemocap_source(data_folder, classes)
    prepare_corpus(source, save_folder, protocol, fold_seed)


def iemocap_source(data_folder, classes=7):
    """Return the utterances of a release; see ``prepare_iemocap``."""
    if classes not in CLASS_SETS:
        raise CorpusError(
            f"classes is {classes!r}. Use one of {sorted(CLASS_SETS)}."
        )
    class_of = CLASS_SETS[classes]
    sessions = find_sessions(data_folder)
    recordings, skipped = list_recordings(sessions, class_of)
    votes = find_votes(sessions)
    recordings = [
        replace(r, votes=format_votes(votes[r.utterance_id], class_of))
        for r in recordings
    ]
    counts = dict.fromkeys(class_of.values(), 0)
    for label, name in class_of.items():
        counts[name] += PAPER_COUNTS[label]
    # Generated corpora in this layout must not be reported as IEMOCAP.
    generated = (Path(data_folder) / "plan.json").exists()
    return CorpusSource(
        "controlled corpus (IEMOCAP layout)" if generated else "IEMOCAP",
        data_folder,
        recordings,
        skipped,
        list(counts),
        None if generated else counts,
    )


def find_sessions(data_folder):
    """Return the session folders; raise ``CorpusError`` if there are none."""
    folder = Path(data_folder)
    if not folder.is_dir():
        raise CorpusError(
            f"data_folder {folder} does not exist. Pass the folder that contains "
            "Session1 to Session5."
        )
    if (folder / "dialog").is_dir() or (folder / "sentences").is_dir():
        raise CorpusError(
            f"data_folder {folder} is a single session. Pass its parent folder, "
            f"{folder.absolute().parent}."
        )
    sessions = sorted(folder.glob("Session[0-9]"))
    if not sessions:
        below = sorted(path.parent for path in folder.glob("*/Session1"))
        hint = f" Pass {below[0]}." if below else ""
        raise CorpusError(
            f"data_folder {folder} has no Session1 to Session5.{hint}"
        )
    if len(sessions) < N_SESSIONS:
        logger.warning(
            f"{folder} has {len(sessions)} of {N_SESSIONS} sessions: "
            + ", ".join(session.name for session in sessions)
        )
    return sessions


def list_recordings(sessions, class_of):
    """Return the utterances whose label has a class, and (ID, reason) of the others."""
    recordings, skipped, seen = [], [], set()
    for session in sessions:
        texts = {
            match["id"]: match["text"]
            for _, line in _lines(session / "dialog" / "transcriptions")
            for match in [TRANSCRIPTION_LINE.match(line)]
            if match
        }
        labels = session / "dialog" / "EmoEvaluation"
        skipped.extend(
            (path.name, "the file is a copy of another one")
            for path in sorted(labels.glob("*.txt"))
            if COPY.search(path.stem)
        )
        for place, line in _lines(labels):
            if not line.lstrip().startswith("["):
                continue  # votes of the raters
            match = LABEL_LINE.match(line)
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
                recordings.append(
                    as_recording(
                        utterance_id,
                        session,
                        class_of[label],
                        texts.get(utterance_id, "").strip(),
                        match["dimensions"].replace(",", " ").split(),
                    )
                )
            seen.add(utterance_id)
        for wav in sorted(session.glob("sentences/wav/*/Ses*.wav")):
            if wav.stem not in seen:
                skipped.append((wav.stem, "no label in EmoEvaluation"))
    return recordings, skipped


def as_recording(utterance_id, session, emotion, transcript, dimensions):
    """Return an utterance of the release.

    In ``Ses03M_impro05a_F001``, the dialog is ``Ses03M_impro05a`` and the speaker
    is ``Ses03F``: the letter before the dialog's name is not that of the speaker.
    """
    dialog, _, turn = utterance_id.rpartition("_")
    folder = f"{session.name}/sentences"
    extra = dict(zip(DIMENSIONS, dimensions), language="en", sex=SEX[turn[0]])
    return LabeledRecording(
        utterance_id=utterance_id,
        wav=f"{folder}/wav/{dialog}/{utterance_id}.wav",
        emotion=emotion,
        speaker=utterance_id[:5] + turn[0],
        session=session.name[-1],
        dialog=dialog,
        scripted="script" in dialog,
        transcript=transcript,
        alignment=f"{folder}/ForcedAlignment/{dialog}/{utterance_id}.wdseg",
        extra=extra,
    )


def _lines(folder):
    """Yield place and content of the lines of all text files in a folder."""
    if not folder.is_dir():
        raise CorpusError(
            f"{folder} does not exist. The release is incomplete; unpack it again."
        )
    for path in sorted(folder.glob("*.txt")):
        if not (is_listed(path) and path.is_file()) or COPY.search(path.stem):
            continue
        for number, line in numbered_lines(path):
            yield f"{path.name}, line {number}", line


def find_votes(sessions):
    """Return the votes of the raters by utterance and label.

    Each rater has one vote, which is divided among the labels that the rater
    chose. Labels are abbreviated to three letters: ``Neutral state`` is ``neu``.
    """
    votes, seen = defaultdict(Counter), set()
    for session in sessions:
        utterance_id = None
        for _, line in _lines(session / "dialog" / "EmoEvaluation"):
            if match := LABEL_LINE.match(line):
                # Votes of a repeated utterance must not count twice.
                known = match["id"] in seen
                utterance_id = None if known else match["id"]
                seen.add(match["id"])
            match = VOTE_LINE.match(line)
            if match and utterance_id:
                chosen = match["labels"].split(";")
                labels = [label.strip()[:3].lower() for label in chosen]
                for label in labels:
                    votes[utterance_id][label] += 1 / len(labels)
    return votes


def format_votes(votes, class_of):
    """Return votes for classes as text; votes for other labels are ignored."""
    counts = Counter()
    for label, share in votes.items():
        if label in class_of:
            counts[class_of[label]] += share
    return " ".join(f"{name}:{counts[name]:g}" for name in sorted(counts))
