"""Data preparation of MSP-Podcast (Lotfian and Busso, 2019): spontaneous speech.

The corpus is licensed: https://ecs.utdallas.edu/research/researchlabs/msp-lab. Nothing
is downloaded."""

from pathlib import Path

from speechbrain_can.corpus.preparation import CorpusError
from speechbrain_can.corpus.recordings import (
    LabelledRecording,
    prepare_recordings,
)
from speechbrain_can.io.files import decode
from speechbrain_can.io.tables import read_table

EMOTIONS = {
    "A": "ang",
    "S": "sad",
    "H": "hap",
    "U": "sur",
    "F": "fea",
    "D": "dis",
    "C": "con",
    "N": "neu",
}
WITHOUT_CLASS = {"O": "another emotion", "X": "no agreement"}
PARTS = {"Train": "train", "Development": "valid", "Test1": "test"}
LABELS = "Labels/labels_consensus.csv"
COLUMNS = ("FileName", "EmoClass", "SpkrID", "Split_Set")


def prepare_msp_podcast(
    data_folder,
    save_folder,
    protocol="given",
    fold_seed=1234,
    aligner=None,
    transcriber=None,
    workers=None,
):
    """Prepares MSP-Podcast, unless it is prepared already.

    Words come from ``ForceAligned`` where the release has it, else from the
    transcripts in ``Transcripts``, which are aligned, else they are recognised.

    Arguments
    ---------
    data_folder : str
        The folder that holds ``Audios`` and ``Labels``.
    save_folder : str
        Where to write.
    protocol : str
        ``given``, the release's own parts with ``Test1`` as the test set, or
        another one of ``speechbrain_can.corpus.protocols``.
    fold_seed : int
        Seed of random folds.
    aligner, transcriber : callable
        Find the words that the release has not.
    workers : int or None
        Processes that do; None takes one a core.

    Raises
    ------
    CorpusError
        If the folder is not MSP-Podcast, or nothing in it can be used.
    """
    folder = Path(data_folder)
    for needed in (LABELS, "Audios"):
        if not (folder / needed).exists():
            raise CorpusError(
                f"data_folder {folder} has no {needed}; give the folder of the "
                "release"
            )
    prepare_recordings(
        folder=save_folder,
        name="MSP-Podcast",
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
    """The labelled utterances, and those of no class or no part."""
    recordings, skipped = [], []
    for _, row in read_table(folder / LABELS, COLUMNS):
        name = Path(row["FileName"]).stem
        label, part = row["EmoClass"], row["Split_Set"]
        if label not in EMOTIONS:
            why = WITHOUT_CLASS.get(label, "unknown")
            skipped.append((name, f"label {label!r}: {why}"))
            continue
        if part not in PARTS:
            skipped.append((name, f"part {part!r} is not used"))
            continue
        alignment = f"ForceAligned/{name}.TextGrid"
        text = folder / "Transcripts" / f"{name}.txt"
        recordings.append(
            LabelledRecording(
                utterance_id=name,
                wav=f"Audios/{row['FileName']}",
                emotion=EMOTIONS[label],
                # without a name it is nobody else's
                speaker=_speaker(row["SpkrID"], name),
                transcript=(
                    decode(text.read_bytes()).strip() if text.exists() else None
                ),
                alignment=alignment if (folder / alignment).exists() else None,
                extra={"fold": PARTS[part]},
            )
        )
    return recordings, skipped


def _speaker(speaker, name):
    return f"unknown_{name}" if speaker.lower() == "unknown" else speaker
