"""Data preparation of MELD (Poria et al., 2019): dialogs of a television series.

Download the corpus from https://affective-meld.github.io.
"""

from pathlib import Path

from speechbrain_can.corpus.preparation import CorpusSource, prepare_corpus
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.corpus.recordings import LabeledRecording
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
# Tables and audio folders of the training, validation and test sets
PARTS = {
    "train": ("train_sent_emo.csv", "train_splits"),
    "valid": ("dev_sent_emo.csv", "dev_splits_complete"),
    "test": ("test_sent_emo.csv", "output_repeated_splits_test"),
}
EPISODE = ("Season", "Episode", "Sentiment")
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")


def prepare_meld(data_folder, save_folder, protocol="given", **options):
    """Prepare MELD, unless it is already prepared.

    Arguments
    ---------
    data_folder : str
        The folder that contains ``train_sent_emo.csv`` and the other tables, and
        ``train_splits`` and the other folders. WAV files are preferred to the
        MP4 files of the release, which need PyAV (extra ``asr``).
    save_folder : str
        Output folder.
    protocol : str
        ``given``, the sets of the release, or another protocol.
    **options
        ``fold_seed``, ``aligner``, ``transcriber`` and ``workers``; see
        ``prepare_corpus``.

    Raises
    ------
    CorpusError
        If the folder is not MELD, or no recording is usable.
    """
    folder = Path(data_folder)
    for table, clips in PARTS.values():
        if not ((folder / table).exists() and (folder / clips).is_dir()):
            raise CorpusError(
                f"data_folder {folder} lacks {table} or the folder {clips}. Pass "
                "the folder of MELD.Raw with everything in it unpacked."
            )
    recordings, skipped = list_recordings(folder)
    source = CorpusSource(
        "MELD", folder, recordings, skipped, list(EMOTIONS.values())
    )
    prepare_corpus(source, save_folder, protocol, **options)


def list_recordings(folder):
    """Return the utterances of the three tables, and (ID, reason) of the others."""
    recordings, skipped = [], []
    for part, (table, clips) in PARTS.items():
        for _, row in read_table(folder / table, COLUMNS, EPISODE):
            dialog, utterance = row["Dialogue_ID"], row["Utterance_ID"]
            name = f"{part}_dia{dialog}_utt{utterance}"
            wav = f"{clips}/dia{dialog}_utt{utterance}.wav"
            if row["Emotion"] not in EMOTIONS:
                skipped.append((name, f"unknown emotion {row['Emotion']!r}"))
                continue
            if not (folder / wav).exists():
                wav = f"{clips}/dia{dialog}_utt{utterance}.mp4"
            recordings.append(
                LabeledRecording(
                    utterance_id=name,
                    wav=wav,
                    emotion=EMOTIONS[row["Emotion"]],
                    speaker=row["Speaker"],
                    dialog=f"{part}_dia{dialog}",
                    scripted=True,
                    transcript=row["Utterance"],
                    extra={
                        "fold": part,
                        "language": "en",
                        **{name.lower(): row.get(name, "") for name in EPISODE},
                    },
                )
            )
    return recordings, skipped
