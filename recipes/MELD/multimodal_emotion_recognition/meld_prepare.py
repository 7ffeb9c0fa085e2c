"""Data preparation of MELD (Poria et al., 2019): dialogs of a television series.

Download: https://affective-meld.github.io. Nothing is downloaded here."""

from pathlib import Path

from speechbrain_can.corpus.preparation import CorpusError
from speechbrain_can.corpus.recordings import (
    LabelledRecording,
    prepare_recordings,
)
from speechbrain_can.io.tables import read_table

EMOTIONS = {
    "anger": "ang",
    "disgust": "dis",
    "fear": "fea",
    "joy": "joy",
    "neutral": "neu",
    "sadness": "sad",
    "surprise": "sur",
}
# The release's names of labels and clips
PARTS = {
    "train": ("train_sent_emo.csv", "train_splits"),
    "valid": ("dev_sent_emo.csv", "dev_splits_complete"),
    "test": ("test_sent_emo.csv", "output_repeated_splits_test"),
}
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")


def prepare_meld(
    data_folder,
    save_folder,
    protocol="given",
    fold_seed=1234,
    aligner=None,
    transcriber=None,
    workers=None,
):
    """Prepares MELD, unless it is prepared already.

    Arguments
    ---------
    data_folder : str
        The folder that holds ``train_sent_emo.csv`` and the other tables, and
        ``train_splits`` and the other folders of clips, as WAV files.
    save_folder : str
        Where to write.
    protocol : str
        ``given``, the release's own parts, or another one of
        ``speechbrain_can.corpus.protocols``.
    fold_seed : int
        Seed of random folds.
    aligner, transcriber : callable
        Find the words; the transcripts of the release need the first alone.
    workers : int or None
        Processes that do; None takes one a core.

    Raises
    ------
    CorpusError
        If the folder is not MELD, or nothing in it can be used.
    """
    folder = Path(data_folder)
    for table, clips in PARTS.values():
        if not ((folder / table).exists() and (folder / clips).is_dir()):
            raise CorpusError(
                f"data_folder {folder} has no {table} or no folder {clips}; give "
                "the folder of MELD.Raw, everything in it unpacked"
            )
    prepare_recordings(
        folder=save_folder,
        name="MELD",
        classes=list(EMOTIONS.values()),
        data_folder=folder,
        protocol=protocol,
        fold_seed=fold_seed,
        find_recordings=lambda: find_recordings(folder),
        aligner=aligner,
        transcriber=transcriber,
        workers=workers,
    )


def find_recordings(folder):
    """The utterances of the three tables, and those that cannot be used."""
    recordings, skipped = [], []
    for part, (table, clips) in PARTS.items():
        for _, row in read_table(folder / table, COLUMNS):
            dialog, utterance = row["Dialogue_ID"], row["Utterance_ID"]
            name = f"{part}_dia{dialog}_utt{utterance}"
            wav = f"{clips}/dia{dialog}_utt{utterance}.wav"
            if row["Emotion"] not in EMOTIONS:
                skipped.append((name, f"unknown emotion {row['Emotion']!r}"))
                continue
            video = (folder / wav).with_suffix(".mp4")
            if video.exists() and not (folder / wav).exists():
                skipped.append(
                    (name, "only its video is there; README.md converts it")
                )
                continue
            recordings.append(
                LabelledRecording(
                    utterance_id=name,
                    wav=wav,
                    emotion=EMOTIONS[row["Emotion"]],
                    speaker=row["Speaker"],
                    dialog=f"{part}_dia{dialog}",
                    scripted=True,
                    transcript=row["Utterance"],
                    extra={"fold": part},
                )
            )
    return recordings, skipped
