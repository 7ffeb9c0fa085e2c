"""Input recordings: files, folders, tables, standard input, microphone."""

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterable, List, Optional

import soundfile

from speechbrain_can.alignment.pipeline import AlignmentFile
from speechbrain_can.io.audio import AUDIO_SUFFIXES, parse_channel, read_header
from speechbrain_can.io.files import (
    InputError,
    existing_form,
    is_inside,
    is_listed,
    portable,
    printable,
)
from speechbrain_can.io.tables import read_table

# Columns of a table
OPTIONAL = ("transcript", "alignment", "channel", "speaker", "language")
STANDARD_INPUT = "-"
MICROPHONE_RATE = 16000
HIGHEST_RATE = 48000  # Hz, the highest common sample rate


@dataclass(frozen=True)
class Recording:
    """A recording with optional transcript and word timings.

    Arguments
    ---------
    path : Path
        The audio file.
    transcript : str or None
        The spoken words.
    alignment : AlignmentFile or None
        A file with word timings.
    channel : str or None
        The channel to use: ``left``, ``right`` or a number; None for their mean.
    speaker : str or None
        Name of the speaker, to whom models that adapt are adapted.
    language : str or None
        Language code such as ``de``, if it is known.
    """

    path: Path
    transcript: Optional[str] = None
    alignment: Optional[AlignmentFile] = None
    channel: Optional[str] = None
    speaker: Optional[str] = None
    language: Optional[str] = None


def find_recordings(
    inputs: Iterable[str | Path], allow_outside: bool = False
) -> list[Recording]:
    """Find the recordings that paths refer to, in their order.

    A path is an audio file, a folder (all audio files in it, sorted), or a CSV table
    with the column ``wav`` and, optionally, ``transcript``, ``alignment``,
    ``channel``, ``speaker`` and ``language``, relative to the table. ``allow_outside`` permits files outside the table's folder.
    Raises ``InputError`` if a folder contains no audio, or a table has no column
    ``wav`` or names a file outside its folder.
    """
    recordings: List[Recording] = []
    for given in map(Path, inputs):
        if given.is_dir():
            found = [
                Recording(path)
                for path in sorted(given.rglob("*"))
                if path.suffix.lower() in AUDIO_SUFFIXES and is_listed(path)
            ]
            if not found:
                raise InputError(f"{given}: the folder contains no audio files")
            recordings += found
        elif given.suffix.lower() in (".csv", ".tsv"):
            recordings += _of_table(given, allow_outside)
        else:
            recordings.append(Recording(given))
    return recordings


def _of_table(path, allow_outside):
    recordings = []
    for line, row in read_table(path, ["wav"], OPTIONAL):
        row = {key: value.strip() for key, value in row.items()}
        if not row["wav"]:
            raise InputError(f"{path}, line {line}: the column wav is empty")
        wav = portable(path.parent, row["wav"])
        alignment = portable(path.parent, row.get("alignment", ""))
        for name in (wav, alignment):
            if not (allow_outside or is_inside(name, path.parent)):
                raise InputError(
                    f"{path}, line {line}: {name} is outside {path.parent}. If "
                    "this is intended, pass --allow-outside."
                )
        recordings.append(
            Recording(
                path.parent / wav,
                row.get("transcript") or None,
                (
                    AlignmentFile(path.parent / alignment, Path(wav).stem)
                    if alignment
                    else None
                ),
                row.get("channel") or None,
                row.get("speaker") or None,
                row.get("language") or None,
            )
        )
    return recordings


def with_options(
    recording: Recording,
    tier: str | None,
    channel: str | None,
    language: str | None = None,
) -> Recording:
    """Return a recording with options of the command line, if any.

    A language in a table takes precedence.
    """
    if recording.language is None:
        recording = replace(recording, language=language)
    if tier is not None and recording.alignment is not None:
        alignment = recording.alignment._replace(tier=tier)
        recording = replace(recording, alignment=alignment)
    if channel is not None:
        parse_channel(channel)
        recording = replace(recording, channel=channel)
    return recording


def with_speakers(
    recordings: list[Recording], same: str | None, folders: bool
) -> list[Recording]:
    """Return recordings with speakers from the command line.

    Recordings of a table keep their speakers. ``same`` is the speaker of all others.
    With ``folders``, the speaker is the folder that contains the recording.
    """
    if folders:
        same = None
    return [
        recording
        if recording.speaker
        else replace(
            recording,
            speaker=str(recording.path.absolute().parent) if folders else same,
        )
        for recording in recordings
    ]


def check_limits(path: str | Path, megabytes: float, minutes: float) -> None:
    """Refuse a recording that is too large, before decoding it.

    The duration comes from the header: a small file can decode to days of audio.
    Raises ``InputError``.
    """
    path = existing_form(path)
    if not path.is_file():
        return  # decoding reports this with a better message
    size = path.stat().st_size / 2**20
    if size > megabytes:
        raise InputError(
            f"{path}: the file has {size:.0f} MB, more than {megabytes:g} MB. "
            "Pass --largest-file to raise the limit."
        )
    header = read_header(path)
    if header is None:
        return
    # Channels count as well, because they take as much memory.
    samples = header.duration * header.sample_rate * header.channels
    as_stereo = samples / (2 * HIGHEST_RATE)
    longest = max(header.duration, as_stereo) / 60
    if longest > minutes:
        raise InputError(
            f"{path}: the recording has {longest:.0f} minutes (or as many samples "
            f"as {longest:.0f} minutes of stereo at {HIGHEST_RATE} Hz), more than "
            f"{minutes:g}. Pass --longest-file to raise the limit."
        )


def describe_problem(recording: Recording, problem: str) -> str:
    """Return a message about a recording that contains its path once."""
    name = str(recording.path)
    message = problem if problem.startswith(name) else f"{name}: {problem}"
    return printable(message)


def unique_names(recordings: Iterable[Recording]) -> list[str]:
    """Return a unique file name without extension for each recording.

    Example
    -------
    >>> unique_names([Recording(Path("a/x.wav")), Recording(Path("b/x.wav"))])
    ['x', 'x_2']
    """
    names = {}  # keeps the order
    for recording in recordings:
        stem = name = recording.path.stem
        number = 2
        while name in names:
            name, number = f"{stem}_{number}", number + 1
        names[name] = None
    return list(names)


def from_standard_input(folder: str | Path) -> Recording:
    """Save audio from standard input to a file in ``folder``."""
    content = sys.stdin.buffer.read()
    if not content:
        raise InputError("standard input is empty. Pipe an audio file to it.")
    with tempfile.NamedTemporaryFile(
        dir=folder, prefix="standard-input-", suffix=".wav", delete=False
    ) as stream:
        stream.write(content)
    return Recording(Path(stream.name))


def from_microphone(seconds: float, folder: str | Path) -> Recording:
    """Record from the microphone to a file in ``folder``."""
    try:
        import sounddevice
    # An OSError is raised if the system lacks the PortAudio library.
    except (ImportError, OSError) as error:
        raise InputError(
            f"the microphone cannot be used ({error}). Run pip install "
            "'speechbrain_can[predict]' and, on Debian, apt install libportaudio2."
        ) from error
    try:
        samples = sounddevice.rec(
            round(seconds * MICROPHONE_RATE),
            samplerate=MICROPHONE_RATE,
            channels=1,
            blocking=True,
        )
    except sounddevice.PortAudioError as error:
        raise InputError(f"the microphone cannot be used: {error}") from error
    path = Path(folder) / "microphone.wav"
    soundfile.write(path, samples, MICROPHONE_RATE)
    return Recording(path)
