"""Data preparation of a custom corpus: from a table to a manifest."""

from pathlib import Path

from speechbrain_can.corpus.manifest import COLUMNS
from speechbrain_can.corpus.preparation import CorpusSource, prepare_corpus
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.corpus.recordings import LabeledRecording
from speechbrain_can.io.tables import read_table

NEEDED = ("wav", "emotion", "speaker")
# Other columns are copied to the manifest.
KNOWN = {*COLUMNS, "transcript", "alignment"}


def prepare_custom(
    data_folder,
    save_folder,
    table="recordings.csv",
    name="my corpus",
    allow_outside=False,
    **options,
):
    """Prepare the corpus, unless it is already prepared.

    Arguments
    ---------
    data_folder : str
        The folder that paths in the table are relative to.
    save_folder : str
        Output folder.
    table : str
        A CSV file in ``data_folder`` with the columns ``wav, emotion, speaker``
        and optionally ``ID, session, dialog, scripted`` (1 or 0), ``transcript,
        alignment, votes`` and ``fold``. Other columns, such as ``room``, are copied
        to the manifest, for protocols such as ``group:room``.
    name : str
        Name of the corpus in results.
    allow_outside : bool
        Whether recordings may lie outside ``data_folder``.
    **options
        ``protocol``, ``fold_seed``, ``aligner``, ``transcriber`` and ``workers``;
        see ``prepare_corpus``. The protocol ``given`` uses the column ``fold``.

    Raises
    ------
    CorpusError
        If the table or all of its recordings are unusable.
    """
    recordings, skipped = list_recordings(Path(data_folder) / table)
    source = CorpusSource(
        name, data_folder, recordings, skipped, allow_outside=allow_outside
    )
    prepare_corpus(source, save_folder, **options)


def list_recordings(path):
    """Return the recordings of a table, and (ID, reason) of unusable rows."""
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
                f"{path}, line {line} ({name}): scripted is {row['scripted']!r}. "
                "Use 1 or 0."
            )
        if name in seen:
            raise CorpusError(
                f"{path}, line {line}: the ID {name!r} also occurs on line "
                f"{seen[name]}. Add a column ID with a unique value for each "
                "recording."
            )
        seen[name] = line
        recordings.append(
            LabeledRecording(
                utterance_id=name,
                wav=row["wav"],
                emotion=row["emotion"],
                speaker=row["speaker"],
                session=row.get("session", ""),
                dialog=row.get("dialog", ""),
                scripted=row.get("scripted") == "1",
                transcript=row.get("transcript") or None,
                alignment=row.get("alignment") or None,
                votes=row.get("votes", ""),
                extra={k: v for k, v in row.items() if k not in KNOWN},
            )
        )
    return recordings, skipped
