"""Data preparation of a corpus of one's own: from a table to a manifest."""

from pathlib import Path

from speechbrain_can.corpus.manifest import COLUMNS
from speechbrain_can.corpus.preparation import CorpusError
from speechbrain_can.corpus.recordings import (
    LabelledRecording,
    prepare_recordings,
)
from speechbrain_can.io.tables import read_table

NEEDED = ("wav", "emotion", "speaker")
# Any other column is one of the manifest.
KNOWN = {*COLUMNS, "transcript", "alignment"}


def prepare_custom(
    data_folder,
    save_folder,
    table="recordings.csv",
    name="my corpus",
    protocol="group:speaker",
    fold_seed=1234,
    aligner=None,
    transcriber=None,
    workers=None,
    allow_outside=False,
):
    """Prepares the corpus, unless it is prepared already.

    Arguments
    ---------
    data_folder : str
        The folder that paths in the table are relative to.
    save_folder : str
        Where to write.
    table : str
        A CSV in ``data_folder`` with the columns ``wav, emotion, speaker`` and,
        where they are known, ``ID, session, dialog, scripted`` (1 or 0),
        ``transcript, alignment, fold``. Others, such as ``room``, are kept: a
        protocol can be ``group:room``.
    name : str
        What results call the corpus.
    protocol : str
        ``group:speaker``, or ``given`` for the column ``fold``; see
        ``speechbrain_can.corpus.protocols``.
    fold_seed : int
        Seed of random folds.
    aligner, transcriber : callable
        Find the words that are not given.
    workers : int or None
        Processes that do; None takes one a core.
    allow_outside : bool
        Whether recordings may lie outside ``data_folder``.

    Raises
    ------
    CorpusError
        If the table or nothing in it can be used.
    """
    path = Path(data_folder) / table
    prepare_recordings(
        folder=save_folder,
        name=name,
        data_folder=data_folder,
        protocol=protocol,
        fold_seed=fold_seed,
        find_recordings=lambda: read_recordings(path),
        aligner=aligner,
        transcriber=transcriber,
        workers=workers,
        allow_outside=allow_outside,
    )


def read_recordings(path):
    """The recordings of a table, and (ID, reason) of those that are unusable."""
    recordings, skipped, seen = [], [], {}
    for line, row in read_table(path, NEEDED):
        row = {key: (value or "").strip() for key, value in row.items() if key}
        name = row.get("ID") or Path(row["wav"]).with_suffix("").as_posix()
        name = name.replace("/", "_")
        missing = [key for key in NEEDED if not row[key]]
        if missing:
            skipped.append((name or f"line {line}", f"no {', '.join(missing)}"))
            continue
        if row.get("scripted", "") not in ("", "0", "1"):
            raise CorpusError(
                f"{path}, line {line} ({name}): scripted is {row['scripted']!r}; "
                "give 1 or 0"
            )
        if name in seen:
            raise CorpusError(
                f"{path}, line {line}: the ID {name!r} stands on line "
                f"{seen[name]} too; give each recording an ID of its own in a "
                "column ID"
            )
        seen[name] = line
        recordings.append(
            LabelledRecording(
                utterance_id=name,
                wav=row["wav"],
                emotion=row["emotion"],
                speaker=row["speaker"],
                session=row.get("session", ""),
                dialog=row.get("dialog", ""),
                scripted=row.get("scripted") == "1",
                transcript=row.get("transcript") or None,
                alignment=row.get("alignment") or None,
                extra={k: v for k, v in row.items() if k not in KNOWN},
            )
        )
    return recordings, skipped
