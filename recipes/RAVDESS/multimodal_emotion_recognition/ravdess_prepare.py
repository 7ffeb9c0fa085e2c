"""Data preparation of RAVDESS (Livingstone and Russo, 2018): acted speech, two sentences.

Download: https://zenodo.org/records/1188976. Nothing is downloaded here."""

import re
from pathlib import Path

from speechbrain_can.corpus.preparation import CorpusError
from speechbrain_can.corpus.recordings import (
    LabelledRecording,
    prepare_recordings,
)

EMOTIONS = {
    "01": "neu",
    "02": "calm",
    "03": "hap",
    "04": "sad",
    "05": "ang",
    "06": "fea",
    "07": "dis",
    "08": "sur",
}
SENTENCES = {
    "01": "Kids are talking by the door",
    "02": "Dogs are sitting by the door",
}
# modality, vocal channel, emotion, intensity, statement, repetition, actor
_NAME = re.compile(
    r"(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<emotion>0[1-8])-0[12]-"
    r"(?P<sentence>0[12])-0[12]-(?P<actor>\d\d)"
)


def prepare_ravdess(
    data_folder,
    save_folder,
    protocol="group:speaker",
    fold_seed=1234,
    aligner=None,
    workers=None,
):
    """Prepares the spoken part of RAVDESS, unless it is prepared already.

    Arguments
    ---------
    data_folder : str
        The folder that holds ``Actor_01`` to ``Actor_24``.
    save_folder : str
        Where to write.
    protocol : str
        ``group:speaker`` or another one of ``speechbrain_can.corpus.protocols``.
    fold_seed : int
        Seed of random folds.
    aligner : callable
        Places the words of the two sentences.
    workers : int or None
        Processes that align; None takes one a core.

    Raises
    ------
    CorpusError
        If the folder is not RAVDESS, or nothing in it can be used.
    """
    folder = Path(data_folder)
    if not any(folder.glob("Actor_*")):
        raise CorpusError(
            f"data_folder {folder} has no folders Actor_01, ...; give the folder "
            "that Audio_Speech_Actors_01-24.zip was unpacked to"
        )
    prepare_recordings(
        folder=save_folder,
        name="RAVDESS",
        classes=list(EMOTIONS.values()),
        data_folder=folder,
        protocol=protocol,
        fold_seed=fold_seed,
        find_recordings=lambda: find_recordings(folder),
        aligner=aligner,
        workers=workers,
    )


def find_recordings(folder):
    """The recordings by their file names, and what is no speech."""
    recordings, skipped = [], []
    for path in sorted(folder.glob("Actor_*/*.wav")):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            skipped.append(
                (path.stem, "the file name has not the seven numbers")
            )
        elif match["channel"] == "02":
            skipped.append((path.stem, "it is sung"))
        else:
            recordings.append(
                LabelledRecording(
                    utterance_id=path.stem,
                    wav=path.relative_to(folder).as_posix(),
                    emotion=EMOTIONS[match["emotion"]],
                    speaker=match["actor"],
                    scripted=True,
                    transcript=SENTENCES[match["sentence"]],
                )
            )
    return recordings, skipped
