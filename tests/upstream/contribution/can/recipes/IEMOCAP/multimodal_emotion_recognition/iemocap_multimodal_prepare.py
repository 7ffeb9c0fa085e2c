"""Data preparation of IEMOCAP with the times of every word: one JSON a part.

The release has an alignment of each turn (``.wdseg``). Its silences and noises
are shared by the words beside them, so that words tile the utterance. The corpus
is licensed: https://sail.usc.edu/iemocap/. Nothing is downloaded.

Authors
 * The speechbrain-can developers 2026
"""

import json
import os

from iemocap_prepare import (
    CLASS_SETS,
    build_utterance,
    find_sessions,
    find_turns,
)

from speechbrain.dataio.dataio import read_audio_info
from speechbrain.utils.logger import get_logger
from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.audio import AudioError
from speechbrain_can.corpus.folds import split_fold
from speechbrain_can.corpus.manifest import DATA_ROOT
from speechbrain_can.corpus.prepare import CorpusError
from speechbrain_can.corpus.protocols import leave_one_session_out, random10

logger = get_logger(__name__)

SAMPLE_RATE = 16000  # Hz
PROTOCOLS = {
    "random10": random10,
    "leave_one_session_out": leave_one_session_out,
}


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
    """Writes the annotations of one fold, unless they are there already.

    ``preparation.json`` beside them says with which settings, and lists what
    cannot be used with the reason.

    Arguments
    ---------
    data_folder : str
        The folder of the release that holds ``Session1`` to ``Session5``.
    train_annotation, valid_annotation, test_annotation : str
        JSON files to write.
    classes : int
        7 (the paper's), 6 (without surprise) or 4 (excited counts as happy).
    protocol : str
        ``random10``: 8:1:1, stratified by emotion (the paper's). Speakers and
        scripted sentences are shared between training and test.
        ``leave_one_session_out``: a session is tested, one talker of the next
        one validates; no speaker is in two parts, scripted sentences are.
    fold : int
        Which one, from 0.
    fold_seed : int
        Seed of random folds.

    Raises
    ------
    ValueError
        If the folder is not the release, or there is no such fold.
    """
    for name, value, choices in (
        ("classes", classes, CLASS_SETS),
        ("protocol", protocol, PROTOCOLS),
    ):
        if value not in choices:
            raise CorpusError(
                f"{name} is {value!r}; choose one of {list(choices)}"
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
    turns, skipped = find_turns(find_sessions(data_folder), CLASS_SETS[classes])
    utterances = {}
    for turn in turns:
        try:
            utterance, _ = build_utterance(turn, data_folder)
            check_format(utterance.wav.replace(DATA_ROOT, data_folder))
        except (AlignmentError, AudioError) as error:
            skipped.append((turn.utterance_id, str(error)))
        else:
            utterances[turn.utterance_id] = utterance
    folds = PROTOCOLS[protocol](utterances, fold_seed)
    for part, ids in split_fold(folds, fold).items():
        write_json(
            annotations[part], {i: annotation(utterances[i]) for i in ids}
        )
        logger.info(f"{len(ids)} utterances in {annotations[part]}")
    logger.info(f"{len(skipped)} were left out, see {written}")
    # the last: it says that the others are complete
    write_json(
        written, {"settings": settings, "skipped": dict(sorted(skipped))}
    )


def check_format(path):
    """Raises ``AudioError`` for audio that is not as the release has it."""
    info = read_audio_info(path)
    if (info.sample_rate, info.num_channels) != (SAMPLE_RATE, 1):
        raise AudioError(
            f"{path}: {info.sample_rate} Hz and {info.num_channels} channels, "
            f"not {SAMPLE_RATE} Hz and one"
        )


def annotation(utterance):
    """What the JSON has of an utterance; all times are seconds."""
    return {
        "wav": utterance.wav.replace(DATA_ROOT, "{data_root}"),
        "duration": utterance.duration,
        "speaker": utterance.speaker,
        "emotion": utterance.emotion,
        "words": " ".join(word.text for word in utterance.words),
        "starts": " ".join(f"{word.start:.6f}" for word in utterance.words),
        "ends": " ".join(f"{word.end:.6f}" for word in utterance.words),
    }


def write_json(path, content):
    """Writes a JSON file."""
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=2, ensure_ascii=False)


def class_names(classes):
    """Names of the 7, 6 or 4 classes, in the order of their numbers."""
    return list(dict.fromkeys(CLASS_SETS[classes].values()))
