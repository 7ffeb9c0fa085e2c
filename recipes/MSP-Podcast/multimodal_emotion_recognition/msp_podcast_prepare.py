"""Data preparation of MSP-Podcast (Lotfian and Busso, 2019): spontaneous speech.

The corpus is licensed: https://ecs.utdallas.edu/research/researchlabs/msp-lab.
"""

from pathlib import Path

from speechbrain_can.corpus.preparation import CorpusSource, prepare_corpus
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.corpus.recordings import LabeledRecording
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
PARTS = {
    "Train": "train",
    "Development": "valid",
    "Validation": "valid",  # up to release 1.8
    "Test1": "test",
}
# Releases up to 1.8 misspell the name.
LABELS = ("Labels/labels_consensus.csv", "Labels/labels_concensus.csv")
# Means of the raters, from 1 to 7
DIMENSIONS = {
    "EmoAct": "arousal",
    "EmoVal": "valence",
    "EmoDom": "dominance",
}
OPTIONAL = (*DIMENSIONS, "Gender")
COLUMNS = ("FileName", "EmoClass", "SpkrID", "Split_Set")


def prepare_msp_podcast(data_folder, save_folder, protocol="given", **options):
    """Prepare MSP-Podcast, unless it is already prepared.

    Word timings are those in ``ForceAligned``, if the release contains them.
    Otherwise the transcripts in ``Transcripts`` are aligned, and recordings
    without a transcript are transcribed.

    Arguments
    ---------
    data_folder : str
        The folder that contains ``Audios`` and ``Labels``.
    save_folder : str
        Output folder.
    protocol : str
        ``given``, the sets of the release with ``Test1`` as the test set, or
        another protocol.
    **options
        ``fold_seed``, ``aligner``, ``transcriber`` and ``workers``; see
        ``prepare_corpus``.

    Raises
    ------
    CorpusError
        If the folder is not MSP-Podcast, or no recording is usable.
    """
    folder = Path(data_folder)
    for needed in (LABELS, ("Audios",)):
        if not any((folder / name).exists() for name in needed):
            raise CorpusError(
                f"data_folder {folder} has no {' or '.join(needed)}. Pass the "
                "folder of the release."
            )
    recordings, skipped = list_recordings(folder)
    source = CorpusSource(
        "MSP-Podcast", folder, recordings, skipped, list(EMOTIONS.values())
    )
    prepare_corpus(source, save_folder, protocol, **options)


def list_recordings(folder):
    """Return the labeled utterances, and (ID, reason) of the others."""
    recordings, skipped = [], []
    (labels, *_) = (name for name in LABELS if (folder / name).exists())
    for _, row in read_table(folder / labels, COLUMNS, OPTIONAL):
        name = Path(row["FileName"]).stem
        label, part = row["EmoClass"], row["Split_Set"]
        if label not in EMOTIONS:
            why = WITHOUT_CLASS.get(label, "unknown")
            skipped.append((name, f"label {label!r}: {why}"))
            continue
        if part not in PARTS:
            skipped.append((name, f"the set {part!r} is not used"))
            continue
        alignment = f"ForceAligned/{name}.TextGrid"
        text = folder / "Transcripts" / f"{name}.txt"
        recordings.append(
            LabeledRecording(
                utterance_id=name,
                wav=f"Audios/{row['FileName']}",
                emotion=EMOTIONS[label],
                speaker=_speaker(row["SpkrID"], name),
                transcript=(
                    decode(text.read_bytes()).strip() if text.exists() else None
                ),
                alignment=alignment if (folder / alignment).exists() else None,
                extra={
                    "fold": PARTS[part],
                    "sex": row.get("Gender", "").lower(),
                    "language": "en",
                    **{
                        name: row.get(column, "")
                        for column, name in DIMENSIONS.items()
                    },
                },
            )
        )
    return recordings, skipped


def _speaker(speaker, name):
    """Return the speaker; unknown speakers are treated as different people."""
    return f"unknown_{name}" if speaker.lower() == "unknown" else speaker
