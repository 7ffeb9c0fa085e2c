"""Data preparation of a custom corpus: from a table to a manifest."""

from os.path import splitext
from pathlib import Path

from speechbrain_can.corpus.manifest import COLUMNS
from speechbrain_can.corpus.names import is_missing
from speechbrain_can.corpus.preparation import CorpusSource, prepare_corpus
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.corpus.recordings import LabeledRecording
from speechbrain_can.io.audio import AUDIO_SUFFIXES, CHANNELS
from speechbrain_can.io.console import show
from speechbrain_can.io.files import is_listed, portable
from speechbrain_can.io.tables import read_table

TABLE = "recordings.csv"
NEEDED = ("wav", "emotion", "speaker")
# Other columns are copied to the manifest.
KNOWN = {*COLUMNS, "transcript", "alignment"}
OPTIONAL = (*KNOWN, "fold")


def prepare_custom(
    data_folder,
    save_folder,
    table=TABLE,
    name="my corpus",
    allow_outside=False,
    tier=None,
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
        A CSV file in ``data_folder``. If it does not exist and the recordings are in
        one folder per emotion, such as ``happy/01.wav``, the folders are the
        labels; speakers are then unknown. The file has the columns ``wav, emotion, speaker``
        and optionally ``ID, session, dialog, scripted`` (1 or 0), ``transcript,
        alignment, votes`` and ``fold``. Other columns, such as ``room``, are copied
        to the manifest, for protocols such as ``group:room``.
    name : str
        Name of the corpus in results.
    allow_outside : bool
        Whether recordings may lie outside ``data_folder``.
    tier : str or None
        Tier of the words in the files of the column ``alignment``; None for that of
        a known tool.
    **options
        ``protocol``, ``fold_seed``, ``aligner``, ``transcriber`` and ``workers``;
        see ``prepare_corpus``. The protocol ``given`` uses the column ``fold``.

    Raises
    ------
    CorpusError
        If the table or all of its recordings are unusable.
    """
    folder = Path(data_folder)
    recordings = []
    if table == TABLE and not (folder / table).exists():
        recordings, skipped = list_folders(folder)
    if recordings:
        show(f"{folder / table} is not there: the folders are the emotions")
        _check_protocol(options.get("protocol", "group:speaker"))
    else:
        recordings, skipped = list_recordings(folder / table)
    source = CorpusSource(
        name,
        data_folder,
        recordings,
        skipped,
        allow_outside=allow_outside,
        tier=tier,
    )
    prepare_corpus(source, save_folder, **options)


def list_folders(folder):
    """Return the recordings in one folder per emotion, and (ID, reason) of others."""
    recordings, skipped, seen = [], [], {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.suffix.lower() not in AUDIO_SUFFIXES or not is_listed(path):
            continue
        name = place.with_suffix("").as_posix().replace("/", "_")
        if len(place.parts) == 1:
            skipped.append(
                (name, "the recording is not in the folder of an emotion")
            )
        elif name in seen:
            skipped.append(
                (place.as_posix(), f"{seen[name]} has the same name")
            )
        else:
            seen[name] = place
            recordings.append(
                LabeledRecording(name, place.as_posix(), place.parts[0])
            )
    return recordings, skipped


def _check_protocol(protocol):
    """Refuse protocols that need the speakers, which are unknown."""
    if "speaker" in protocol or "session" in protocol:
        raise CorpusError(
            f"{protocol} needs the speaker of each recording, which folders do not "
            "contain. Write a table with the columns wav, emotion and speaker, or "
            "pass --protocol=random10, whose scores are not speaker-independent."
        )


def list_recordings(path):
    """Return the recordings of a table, and (ID, reason) of unusable rows."""
    recordings, skipped, seen = [], [], {}
    for line, row in read_table(path, NEEDED, OPTIONAL):
        row = {key: value.strip() for key, value in row.items()}
        for column in ("wav", "alignment"):
            if row.get(column):
                row[column] = portable(path.parent, row[column])
        name = row.get("ID", "")
        if row["wav"] and not name:
            name = Path(splitext(row["wav"])[0]).as_posix()
        name = name.replace("/", "_")
        for column in ("transcript", "alignment"):
            if is_missing(row.get(column, "")):
                row[column] = ""
        if row.get("channel", "").lower() in (*CHANNELS, "0", "1"):
            raise CorpusError(
                f"{path}, line {line} ({name}): training averages the channels, so "
                "the column channel is not supported. Write each channel to a file "
                "of its own."
            )
        missing = [key for key in NEEDED if is_missing(row[key])]
        if missing:
            values = ", ".join(f"no {key} ({row[key]!r})" for key in missing)
            skipped.append((name or f"line {line}", values))
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
