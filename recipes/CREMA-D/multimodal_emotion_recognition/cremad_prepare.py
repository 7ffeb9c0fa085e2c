"""Data preparation of CREMA-D (Cao et al., 2014): acted speech, twelve sentences.

Download: https://github.com/CheyneyComputerScience/CREMA-D. Nothing is downloaded here."""

import re
from pathlib import Path

from speechbrain_can.corpus.preparation import CorpusError
from speechbrain_can.corpus.recordings import (
    LabelledRecording,
    prepare_recordings,
)

EMOTIONS = {
    "ANG": "ang",
    "DIS": "dis",
    "FEA": "fea",
    "HAP": "hap",
    "NEU": "neu",
    "SAD": "sad",
}
SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
# actor, sentence, emotion, level
_NAME = re.compile(
    rf"(?P<actor>1\d{{3}})_(?P<sentence>{'|'.join(SENTENCES)})_"
    rf"(?P<emotion>{'|'.join(EMOTIONS)})_\w+"
)


def prepare_cremad(
    data_folder,
    save_folder,
    protocol="group:speaker",
    fold_seed=1234,
    aligner=None,
    workers=None,
):
    """Prepares CREMA-D, unless it is prepared already.

    The class is the emotion that was acted, not what raters heard.

    Arguments
    ---------
    data_folder : str
        The folder that holds ``AudioWAV``.
    save_folder : str
        Where to write.
    protocol : str
        ``group:speaker`` or another one of ``speechbrain_can.corpus.protocols``.
    fold_seed : int
        Seed of random folds.
    aligner : callable
        Places the words of the sentences.
    workers : int or None
        Processes that align; None takes one a core.

    Raises
    ------
    CorpusError
        If the folder is not CREMA-D, or nothing in it can be used.
    """
    folder = Path(data_folder)
    if not (folder / "AudioWAV").is_dir():
        raise CorpusError(
            f"data_folder {folder} has no folder AudioWAV; give the folder of the "
            "repository, cloned with Git LFS"
        )
    prepare_recordings(
        folder=save_folder,
        name="CREMA-D",
        classes=list(EMOTIONS.values()),
        data_folder=folder,
        protocol=protocol,
        fold_seed=fold_seed,
        find_recordings=lambda: find_recordings(folder),
        aligner=aligner,
        workers=workers,
    )


def find_recordings(folder):
    """The recordings by their file names, and what has another name."""
    recordings, skipped = [], []
    for path in sorted((folder / "AudioWAV").glob("*.wav")):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            skipped.append(
                (
                    path.stem,
                    "the file name is not actor, sentence, emotion and level",
                )
            )
            continue
        recordings.append(
            LabelledRecording(
                utterance_id=path.stem,
                wav=f"AudioWAV/{path.name}",
                emotion=EMOTIONS[match["emotion"]],
                speaker=match["actor"],
                scripted=True,
                transcript=SENTENCES[match["sentence"]],
            )
        )
    return recordings, skipped
