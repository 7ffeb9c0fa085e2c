"""Data preparation of EmoDB, the Berlin Database of Emotional Speech.

Manually labeled syllables take the place of words. Download the corpus from
http://emodb.bilderbar.info.
"""

import math
import re
from collections import Counter, defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path

from speechbrain_can.alignment.pipeline import FoundWords
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
from speechbrain_can.corpus.preparation import CorpusSource, prepare_corpus
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.corpus.recordings import LabeledRecording
from speechbrain_can.io.files import is_listed

VERSION = 3  # corpora prepared by other versions are prepared again
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

# Sex and age of the actors
ACTORS = {
    "03": ("male", "31"),
    "08": ("female", "34"),
    "09": ("female", "21"),
    "10": ("male", "32"),
    "11": ("male", "26"),
    "12": ("male", "30"),
    "13": ("female", "32"),
    "14": ("female", "35"),
    "15": ("male", "25"),
    "16": ("female", "31"),
}

NAME = re.compile(
    rf"(?P<speaker>\d\d)(?P<sentence>{'|'.join(SENTENCES)})"
    rf"(?P<emotion>[{''.join(EMOTIONS)}])[a-z]?"
)


def prepare_emodb(
    data_folder,
    save_folder,
    protocol="leave_one_speaker_out",
    canonical_text=False,
    units="syllables",
    **options,
):
    """Prepare EmoDB, unless it is already prepared.

    Two kinds of recordings are adjusted. Recordings without usable labels get the
    most frequent syllables of their sentence, in segments of equal length.
    Truncated recordings keep the syllables that remain (some copies of EmoDB have
    recordings of fixed length).

    Arguments
    ---------
    data_folder : str
        The folder that contains ``wav`` and ``labsilb``.
    save_folder : str
        Output folder.
    protocol : str
        ``leave_one_speaker_out``, ``random10`` or another protocol.
    canonical_text : bool
        Whether all recordings of a sentence get the same syllables, its most
        frequent ones. The labels follow the pronunciation of each actor, and
        truncated recordings lack their last syllables; as text, they therefore
        reveal a little of the emotion. Canonical text reveals nothing.
    units : str
        ``syllables``, with the times of their labels, or the ``words`` of the
        sentence in segments of equal length, for models that are applied to
        other sentences.
    **options
        ``fold_seed``; see ``prepare_corpus``.

    Raises
    ------
    CorpusError
        If the folder is not EmoDB, no recording is usable, or ``units`` is
        unknown.
    """
    folder = check_release(data_folder)
    if units not in UNITS:
        raise CorpusError(f"units is {units!r}. Use {' or '.join(UNITS)}.")
    recordings, skipped = list_recordings(folder)
    name = "EmoDB, canonical text" if canonical_text else "EmoDB"
    if units == "words":
        name, find_words = "EmoDB, words", find_equal_words
    else:
        usual = usual_syllables(folder, recordings)
        find_words = partial(
            find_syllables,
            folder=folder,
            usual=usual,
            canonical_text=canonical_text,
        )
    source = CorpusSource(
        name,
        folder,
        recordings,
        skipped,
        list(EMOTIONS.values()),
        find_words=find_words,
        rule={
            "version": VERSION,
            "units": units,
            "canonical_text": canonical_text,
        },
    )
    prepare_corpus(source, save_folder, protocol=protocol, **options)


def check_release(data_folder):
    """Return the folder; raise ``CorpusError`` if it is not EmoDB."""
    folder = Path(data_folder)
    if not folder.is_dir():
        raise CorpusError(
            f"data_folder {folder} does not exist. Pass the folder that contains "
            "wav and labsilb."
        )
    if not (folder / "wav").is_dir():
        hint = ""
        if any(folder.glob("*.wav")) or any(folder.glob("*.labsilb")):
            hint = f" Pass its parent folder, {folder.absolute().parent}."
        raise CorpusError(f"data_folder {folder} has no folder wav.{hint}")
    return folder


def list_recordings(folder):
    """Return the recordings, and (ID, reason) of files with other names."""
    recordings, skipped = [], []
    for path in filter(is_listed, sorted((folder / "wav").glob("*.wav"))):
        match = NAME.fullmatch(path.stem)
        if match is None:
            reason = "the file name is not speaker, sentence, emotion and take"
            skipped.append((path.stem, reason))
            continue
        recordings.append(
            LabeledRecording(
                utterance_id=path.stem,
                wav=f"wav/{path.name}",
                emotion=EMOTIONS[match["emotion"]],
                speaker=match["speaker"],
                scripted=True,
                transcript=SENTENCES[match["sentence"]],
                alignment=f"labsilb/{path.stem}.labsilb",
                extra={
                    "sex": ACTORS.get(match["speaker"], ("", ""))[0],
                    "age": ACTORS.get(match["speaker"], ("", ""))[1],
                    "sentence": match["sentence"],
                    "language": "de",
                },
            )
        )
    return recordings, skipped


def usual_syllables(folder, recordings):
    """Return the most frequent syllables of each sentence.

    A sentence without any labeled recording gets its words.
    """
    counts = defaultdict(Counter)
    for recording in recordings:
        try:
            labels = clean_words(read_xlabel(folder / recording.alignment))
        except (AlignmentError, FileNotFoundError):
            continue
        counts[recording.transcript][tuple(label.text for label in labels)] += 1
    usual = {
        sentence: re.findall(r"\w+", sentence.lower())
        for sentence in SENTENCES.values()
    }
    for sentence, sequences in counts.items():
        # Equally frequent ones are sorted alphabetically.
        best = min(sequences, key=lambda labels: (-sequences[labels], labels))
        usual[sentence] = list(best)
    return usual


def find_syllables(recording, duration, folder, usual, canonical_text=False):
    """Return the syllables of a recording, and how they were adjusted or None."""
    try:
        rows = read_xlabel(folder / recording.alignment)
        words, reason = _syllables_in_audio(rows, duration)
        if canonical_text:
            words = _with_text(words, usual[recording.transcript])
        return FoundWords(words, words[-1].end, ""), reason
    except (FileNotFoundError, AlignmentError) as error:
        words = equal_words(usual[recording.transcript], duration)
        cause = "no label file"
        if isinstance(error, AlignmentError):
            cause = str(error)
        reason = f"with equal segments: {cause}"
        return FoundWords(words, duration, ""), reason


def find_equal_words(recording, duration):
    """Return the words of the sentence in segments of equal length."""
    words = equal_words(split_words(recording.transcript), duration)
    return FoundWords(words, duration, ""), None


def _with_text(words, text):
    """Replace the text of segments.

    If the text has more syllables, the missing ones share the last segment with
    the last labeled one, because the number of syllables must not reveal how fast
    the actor spoke.
    """
    if len(words) > len(text):
        raise AlignmentError(
            f"found {len(words)} labeled syllables, more than the {len(text)} "
            "canonical ones"
        )
    *labeled, last = words
    rest = equal_words(text[len(labeled) :], last.end - last.start)
    return [
        *(
            replace(word, text=syllable)
            for word, syllable in zip(labeled, text)
        ),
        *(
            Word(
                word.text,
                round(last.start + word.start, 6),
                round(last.start + word.end, 6),
            )
            for word in rest
        ),
    ]


def _syllables_in_audio(rows, duration):
    """Return the tiled syllables in the audio, and a reason if some are missing."""
    inside = fit_to_audio(rows, duration, tolerance=math.inf)
    words = tile_words(clean_words(inside), end=inside[-1].end if inside else 0)
    labeled = len(clean_words(rows))
    if len(words) < labeled:
        return words, (
            f"truncated before the end: {len(words)} of {labeled} syllables are "
            f"in the audio of {duration:.2f} s"
        )
    if rows[-1].end > duration:
        return words, (
            f"truncated in the last syllable: it ends at {rows[-1].end:.2f} s, "
            f"the audio at {duration:.2f} s"
        )
    return words, None
