"""Data preparation of IEMOCAP with word timings: one JSON file per set.

The release contains an alignment of each turn (``.wdseg``). Silences and noises
are divided between adjacent words, so that words tile the utterance. The corpus
requires a license (https://sail.usc.edu/iemocap/) and is not downloaded.

Authors
 * The speechbrain-can developers 2026
"""

import json
import os
import re
from dataclasses import replace

from iemocap_prepare import CLASS_SETS, find_sessions, list_recordings

from speechbrain.dataio import audio_io
from speechbrain.utils.logger import get_logger
from speechbrain_can.alignment.readers.sphinx import read_wdseg
from speechbrain_can.alignment.words import (
    END_TOLERANCE,
    AlignmentError,
    tile_words,
)
from speechbrain_can.corpus.fold_lists import split_fold
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.corpus.protocols import leave_one_session_out, random10

logger = get_logger(__name__)

SAMPLE_RATE = 16000  # Hz
# Pauses, noises and pronunciation variants in the alignments of the release
SPECIAL = re.compile(r"<.*>|\+\+.*\+\+|")
VARIANT = re.compile(r"\(\d+\)$")
PROTOCOLS = {
    "random10": random10,
    "leave_one_session_out": leave_one_session_out,
}


class AudioError(ValueError):
    """Raised for unusable audio; the message names the file."""


def prepare_iemocap_multimodal(
    data_folder,
    train_annotation,
    valid_annotation,
    test_annotation,
    classes=7,
    protocol="random10",
    fold=0,
    fold_seed=1234,
):
    """Write the annotations of one fold, unless they exist already.

    ``preparation.json`` in the same folder contains the settings and lists
    skipped utterances with reasons.

    Arguments
    ---------
    data_folder : str
        Folder of the release that contains ``Session1`` to ``Session5``.
    train_annotation, valid_annotation, test_annotation : str
        JSON files to write.
    classes : int
        7 (the paper's), 6 (without surprise) or 4 (excited counts as happy).
    protocol : str
        ``random10``: 8:1:1, stratified by emotion (the paper's). Training and
        test sets have speakers and scripted sentences in common.
        ``leave_one_session_out``: one session is tested and one speaker of the
        next session validates; only scripted sentences are in common.
    fold : int
        Index of the fold.
    fold_seed : int
        Seed of random folds.

    Raises
    ------
    ValueError
        If the folder is not the release, or the fold does not exist.
    """
    for name, value, choices in (
        ("classes", classes, CLASS_SETS),
        ("protocol", protocol, PROTOCOLS),
    ):
        if value not in choices:
            raise CorpusError(
                f"invalid value {name}={value!r}. Choose one of {list(choices)}."
            )
    annotations = {
        "train": train_annotation,
        "valid": valid_annotation,
        "test": test_annotation,
    }
    written = os.path.join(
        os.path.dirname(train_annotation), "preparation.json"
    )
    settings = [data_folder, classes, protocol, fold, fold_seed]
    if all(map(os.path.isfile, [written, *annotations.values()])):
        with open(written, encoding="utf-8") as stream:
            if json.load(stream)["settings"] == settings:
                logger.info("Preparation completed in previous run, skipping.")
                return
    recordings, skipped = list_recordings(
        find_sessions(data_folder), CLASS_SETS[classes]
    )
    utterances, entries = {}, {}
    for recording in recordings:
        utterance_id = recording.utterance_id
        try:
            entries[utterance_id] = annotation(recording, data_folder)
        except (AlignmentError, AudioError) as error:
            skipped.append((utterance_id, str(error)))
        else:
            utterances[utterance_id] = recording
    folds = PROTOCOLS[protocol](utterances, fold_seed)
    for part, ids in split_fold(folds, fold).items():
        write_json(annotations[part], {i: entries[i] for i in ids})
        logger.info(f"{len(ids)} utterances in {annotations[part]}")
    logger.info(f"{len(skipped)} skipped utterances, see {written}")
    # written last, because it marks the other files as complete
    write_json(
        written, {"settings": settings, "skipped": dict(sorted(skipped))}
    )


def read_duration(path):
    """Return the seconds of audio in the format of the release.

    Raises ``AudioError`` for audio that is missing, unreadable, silent, or in a
    different format.
    """
    if not os.path.isfile(path):
        raise AudioError(f"{path}: audio file not found")
    try:
        channels, sample_rate = audio_io.load(path)
    except RuntimeError as error:
        raise AudioError(f"{path}: the audio cannot be decoded ({error})")
    if (sample_rate, len(channels)) != (SAMPLE_RATE, 1):
        raise AudioError(
            f"{path}: expected {SAMPLE_RATE} Hz and one channel, found "
            f"{sample_rate} Hz and {len(channels)}"
        )
    if not channels.numel() or channels.min() == channels.max():
        raise AudioError(f"{path}: the audio is empty or silent")
    return channels.shape[1] / sample_rate


def annotation(recording, data_folder):
    """Return the JSON entry of an utterance; times are in seconds."""
    path = os.path.join(data_folder, recording.wav)
    duration = read_duration(path)
    words = read_words(os.path.join(data_folder, recording.alignment), duration)
    return {
        "wav": f"{{data_root}}/{recording.wav}",
        "duration": duration,
        "speaker": recording.speaker,
        "emotion": recording.emotion,
        "words": " ".join(word.text for word in words),
        "starts": " ".join(f"{word.start:.6f}" for word in words),
        "ends": " ".join(f"{word.end:.6f}" for word in words),
    }


def read_words(path, duration):
    """Return the words of an alignment, tiled."""
    if not os.path.isfile(path):
        raise AlignmentError(f"{path}: alignment file not found")
    rows = read_wdseg(path)
    if rows and rows[-1].end > duration + END_TOLERANCE:
        raise AlignmentError(
            f"{path}: the alignment ends at {rows[-1].end:.2f} s but the audio is "
            f"{duration:.2f} s long"
        )
    rows = [replace(row, end=min(row.end, duration)) for row in rows]
    try:
        return tile_words(clean_words(rows), end=rows[-1].end if rows else 0)
    except AlignmentError as error:
        raise AlignmentError(f"{path}: {error}")


def clean_words(rows):
    """Return the spoken words, in lower case without quotation marks."""
    words = [
        replace(row, text=VARIANT.sub("", row.text).strip('"').lower())
        for row in rows
    ]
    return [word for word in words if not SPECIAL.fullmatch(word.text)]


def write_json(path, content):
    """Write a JSON file."""
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=2, ensure_ascii=False)


def class_names(classes):
    """Return the names of the 7, 6 or 4 classes in the order of their indices."""
    return list(dict.fromkeys(CLASS_SETS[classes].values()))
