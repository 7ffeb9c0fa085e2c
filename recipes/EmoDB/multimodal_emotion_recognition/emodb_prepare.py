"""Data preparation of EmoDB, the Berlin Database of Emotional Speech.

Its hand-made syllable labels stand where other corpora have words. Download:
http://emodb.bilderbar.info. Nothing is downloaded here."""

import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from speechbrain_can.alignment.readers.xlabel import read_xlabel
from speechbrain_can.alignment.text import split_words
from speechbrain_can.alignment.words import (
    AlignmentError,
    Word,
    clean_words,
    equal_words,
    fit_to_audio,
    tile_words,
)
from speechbrain_can.corpus.manifest import DATA_ROOT, Utterance
from speechbrain_can.corpus.preparation import CorpusError, prepare_corpus
from speechbrain_can.io.audio import audio_duration

# Of what is made of the release: prepared folders of another are made anew.
VERSION = 2
UNITS = ("syllables", "words")

EMOTIONS = {
    "W": "ang",
    "L": "bor",
    "E": "dis",
    "A": "fea",
    "F": "hap",
    "T": "sad",
    "N": "neu",
}
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem "
    "Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder "
    "runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und "
    "habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}

_NAME = re.compile(
    rf"(?P<speaker>\d\d)(?P<sentence>{'|'.join(SENTENCES)})"
    rf"(?P<emotion>[{''.join(EMOTIONS)}])[a-z]?"
)


@dataclass(frozen=True)
class Recording:
    """A recording, as its file name describes it.

    Arguments
    ---------
    utterance_id : str
        The file's name without its ending.
    speaker : str
        Two digits.
    sentence : str
        A key of ``SENTENCES``.
    emotion : str
        Its class.
    """

    utterance_id: str
    speaker: str
    sentence: str
    emotion: str


def prepare_emodb(
    data_folder,
    save_folder,
    protocol="leave_one_speaker_out",
    fold_seed=1234,
    canonical_text=False,
    units="syllables",
):
    """Prepares EmoDB, unless it is prepared already.

    Writes ``manifest.csv``, ``skipped.csv``, ``adjusted.csv``, ``corpus.json``
    and ``folds_<protocol>.csv``. Adjusted are recordings without usable labels,
    which get the syllables that their sentence is labelled with most often, in
    segments of equal length, and those that are cut, which keep the syllables
    that are left in them (some copies of EmoDB have a fixed length).

    Arguments
    ---------
    data_folder : str
        The folder that holds ``wav`` and ``labsilb``.
    save_folder : str
        Where to write.
    protocol : str
        ``leave_one_speaker_out`` or ``random10``.
    fold_seed : int
        Seed of random folds.
    canonical_text : bool
        Whether all recordings of a sentence have the same syllables, those it
        is labelled with most often. The labels follow each actor's
        pronunciation, and a cut recording lacks its last ones: as text they
        say a little of the emotion, the canonical ones say nothing.
    units : str
        ``syllables``, at the times of their labels, or ``words`` of the
        sentence, in segments of equal length: for models that are to hear other
        sentences, whose syllables nobody labels.

    Raises
    ------
    CorpusError
        If the folder is not EmoDB, nothing in it can be used, or there are no
        such units.
    """
    folder = check_release(data_folder)
    if units not in UNITS:
        raise CorpusError(f"units is {units!r}; give {' or '.join(UNITS)}")
    usual = {}
    name = "EmoDB, canonical text" if canonical_text else "EmoDB"
    rule = {
        "version": VERSION,
        "labels": EMOTIONS,
        "alignment": "labsilb, or equal segments where it is missing",
        "canonical_text": canonical_text,
    }
    build = build_utterance
    if units == "words":
        name, build = "EmoDB, words", build_words
        rule["alignment"] = "words in equal segments"

    def find_candidates():
        recordings, skipped = find_recordings(folder)
        usual.update(usual_syllables(folder, recordings))
        return recordings, skipped

    prepare_corpus(
        folder=save_folder,
        name=name,
        classes=list(EMOTIONS.values()),
        data_folder=data_folder,
        protocol=protocol,
        fold_seed=fold_seed,
        rule=rule,
        find_candidates=find_candidates,
        build_utterance=lambda recording: build(
            recording, folder, usual, canonical_text
        ),
        sources=("wav/*.wav", "labsilb/*.labsilb"),
    )


def check_release(data_folder):
    """Checks that a folder is EmoDB.

    Arguments
    ---------
    data_folder : str
        The folder that holds ``wav`` and ``labsilb``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    CorpusError
        If it does not exist or is at the wrong level of the release.
    """
    folder = Path(data_folder)
    if not folder.is_dir():
        raise CorpusError(
            f"data_folder {folder} does not exist; give the folder that holds "
            "wav and labsilb"
        )
    if not (folder / "wav").is_dir():
        hint = ""
        if any(folder.glob("*.wav")) or any(folder.glob("*.labsilb")):
            hint = f"; give the folder above it, {folder.absolute().parent}"
        raise CorpusError(f"data_folder {folder} has no folder wav{hint}")
    return folder


def find_recordings(folder):
    """Lists the recordings by their file names.

    Arguments
    ---------
    folder : Path
        The release.

    Returns
    -------
    recordings : list of Recording
        Sorted by name.
    skipped : list of (str, str)
        ID and reason of files with another name.
    """
    recordings, skipped = [], []
    for path in sorted((folder / "wav").glob("*.wav")):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            skipped.append(
                (
                    path.stem,
                    "the file name is not speaker, sentence, emotion and take",
                )
            )
            continue
        recordings.append(
            Recording(
                utterance_id=path.stem,
                speaker=match["speaker"],
                sentence=match["sentence"],
                emotion=EMOTIONS[match["emotion"]],
            )
        )
    return recordings, skipped


def usual_syllables(folder, recordings):
    """The syllables that each sentence is labelled with most often.

    Arguments
    ---------
    folder : Path
        The release.
    recordings : list of Recording
        Where to look.

    Returns
    -------
    dict of str: list of str
        Syllables by sentence; the words of the sentence where none of its
        recordings is labelled.
    """
    counts = defaultdict(Counter)
    for recording in recordings:
        try:
            labels = clean_words(read_xlabel(_label_path(folder, recording)))
        except (AlignmentError, FileNotFoundError):
            continue
        counts[recording.sentence][tuple(label.text for label in labels)] += 1
    usual = {
        sentence: re.findall(r"\w+", text.lower())
        for sentence, text in SENTENCES.items()
    }
    for sentence, sequences in counts.items():
        # the first in the alphabet of equally common ones
        best = min(sequences, key=lambda labels: (-sequences[labels], labels))
        usual[sentence] = list(best)
    return usual


def _label_path(folder, recording):
    return folder / "labsilb" / f"{recording.utterance_id}.labsilb"


def build_utterance(recording, folder, usual, canonical_text=False):
    """Reads audio and labels of a recording.

    Arguments
    ---------
    recording : Recording
        The recording.
    folder : Path
        The release.
    usual : dict of str: list of str
        Syllables by sentence, for recordings without labels.
    canonical_text : bool
        Whether these are the text of every recording, at the times of its
        labels.

    Returns
    -------
    utterance : Utterance
        A row of the manifest.
    reason : str or None
        What was done to its labels, if anything was.

    Raises
    ------
    AudioError
        If the audio cannot be used.
    """
    wav = f"wav/{recording.utterance_id}.wav"
    duration = audio_duration(folder / wav)
    try:
        rows = read_xlabel(_label_path(folder, recording))
        words, reason = _heard_syllables(rows, duration)
        if canonical_text:
            words = _with_text(words, usual[recording.sentence])
    except (FileNotFoundError, AlignmentError) as error:
        words = equal_words(usual[recording.sentence], duration)
        cause = "no label file"
        if isinstance(error, AlignmentError):
            cause = str(error)
        reason = f"with equal segments: {cause}"
    return _utterance(recording, wav, duration, words), reason


def build_words(recording, folder, usual=None, canonical_text=False):
    """The words of a recording's sentence, in segments of equal length.

    Arguments
    ---------
    recording : Recording
        The recording.
    folder : Path
        The release.
    usual, canonical_text
        Not used: there are no syllables.

    Returns
    -------
    utterance : Utterance
        A row of the manifest.
    reason : None
        All are treated alike.

    Raises
    ------
    AudioError
        If the audio cannot be used.
    """
    wav = f"wav/{recording.utterance_id}.wav"
    duration = audio_duration(folder / wav)
    texts = split_words(SENTENCES[recording.sentence])
    words = equal_words(texts, duration)
    return _utterance(recording, wav, duration, words), None


def _utterance(recording, wav, duration, words):
    """A row of the manifest."""
    return Utterance(
        utterance_id=recording.utterance_id,
        duration=duration,
        wav=f"{DATA_ROOT}/{wav}",
        speaker=recording.speaker,
        session="",
        dialog="",
        scripted=True,
        emotion=recording.emotion,
        words=words,
        transcription=SENTENCES[recording.sentence],
    )


def _with_text(words, text):
    """Another text in the same segments.

    Where it has more syllables, those that were not heard share the last
    segment with the last one that was: which syllables there are must not tell
    how fast the actor spoke.
    """
    if len(words) > len(text):
        raise AlignmentError(
            f"{len(words)} syllables are labelled, {len(text)} are canonical"
        )
    *heard, last = words
    rest = equal_words(text[len(heard) :], last.end - last.start)
    return [
        *(replace(word, text=syllable) for word, syllable in zip(heard, text)),
        *(
            Word(
                word.text,
                round(last.start + word.start, 6),
                round(last.start + word.end, 6),
            )
            for word in rest
        ),
    ]


def _heard_syllables(rows, duration):
    """Tiled syllables within the audio, and a reason if some are not."""
    heard = fit_to_audio(rows, duration, tolerance=math.inf)
    words = tile_words(clean_words(heard), end=heard[-1].end if heard else 0)
    labelled = len(clean_words(rows))
    if len(words) < labelled:
        return words, (
            f"cut before the end: {len(words)} of {labelled} syllables are in "
            f"the audio of {duration:.2f} s"
        )
    if rows[-1].end > duration:
        return words, (
            f"cut within the last syllable: it ends at {rows[-1].end:.2f} s, "
            f"the audio at {duration:.2f} s"
        )
    return words, None
