"""What is to be predicted: files, folders, tables, standard input, a microphone.

Authors
 * The speechbrain-can developers 2026
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

import soundfile

from speechbrain_can.corpus.tables import read_table
from speechbrain_can.files import InputError, is_inside

# In folders; those that no library here reads are told, not passed over
AUDIO_SUFFIXES = set(
    ".wav .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .caf .w64 .sph "
    ".m4a .mp4 .aac .wma .webm .amr .3gp".split()
)
STANDARD_INPUT = "-"
MICROPHONE_RATE = 16000
HIGHEST_RATE = 48000  # Hz of a recording as most are


@dataclass(frozen=True)
class Recording:
    """A recording, and what is known of what is said in it.

    Arguments
    ---------
    path : Path
        The audio file.
    transcript : str or None
        What is said.
    alignment : Path or None
        A file that says when.
    """

    path: Path
    transcript: Optional[str] = None
    alignment: Optional[Path] = None


def find_recordings(inputs, allow_outside=False):
    """The recordings that are meant by some paths.

    Arguments
    ---------
    inputs : iterable of str or Path
        Audio files, folders (everything that sounds in them, sorted) and CSV
        tables with the column ``wav`` and, where known, ``transcript`` and
        ``alignment``; their paths are relative to the table.
    allow_outside : bool
        Whether a table may name files outside its own folder.

    Returns
    -------
    list of Recording
        In the order of the inputs.

    Raises
    ------
    InputError
        If a folder has no audio or a table no column ``wav``, or names a file
        outside its folder.
    """
    recordings: List[Recording] = []
    for given in map(Path, inputs):
        if given.is_dir():
            found = [
                Recording(path)
                for path in sorted(given.rglob("*"))
                if path.suffix.lower() in AUDIO_SUFFIXES
                and not path.name.startswith("._")
            ]
            if not found:
                raise InputError(f"{given}: there is no audio in this folder")
            recordings += found
        elif given.suffix.lower() in (".csv", ".tsv"):
            recordings += _of_table(given, allow_outside)
        else:
            recordings.append(Recording(given))
    return recordings


def _of_table(path, allow_outside):
    recordings = []
    for line, row in read_table(path, ["wav"]):
        if not row["wav"]:
            raise InputError(f"{path}, line {line}: no wav")
        alignment = row.get("alignment")
        for name in (row["wav"], alignment or ""):
            if not (allow_outside or is_inside(name, path.parent)):
                raise InputError(
                    f"{path}, line {line}: {name} lies outside {path.parent}; if "
                    "that is right, give --allow-outside"
                )
        recordings.append(
            Recording(
                path.parent / row["wav"],
                (row.get("transcript") or "").strip() or None,
                path.parent / alignment if alignment else None,
            )
        )
    return recordings


def check_limits(path, megabytes, minutes):
    """Refuses, before it is read, a recording that is larger than it may be.

    Its header says how long it is: a small file can unpack to days.
    """
    path = Path(path)
    if not path.is_file():
        return  # which reading tells better
    size = path.stat().st_size / 2**20
    if size > megabytes:
        raise InputError(
            f"{path}: {size:.0f} MB, more than {megabytes:g}; give "
            "--largest-file to read it all the same"
        )
    try:
        header = soundfile.info(path)
    except soundfile.SoundFileError:
        return
    # of the channels too: a thousand of them are as much as a thousand minutes
    as_stereo = header.frames * header.channels / (2 * HIGHEST_RATE)
    longest = max(header.duration, as_stereo) / 60
    if longest > minutes:
        raise InputError(
            f"{path}: {longest:.0f} minutes, or as much as so many of stereo at "
            f"{HIGHEST_RATE} Hz, more than {minutes:g}; give --longest-file to read "
            "it all the same"
        )


def tell(recording, problem):
    """A line on a recording that cannot be used, with its name once."""
    name = str(recording.path)
    return problem if problem.startswith(name) else f"{name}: {problem}"


def own_names(recordings):
    """A file name for each recording, without ending: of its own for each.

    Example
    -------
    >>> own_names([Recording(Path("a/x.wav")), Recording(Path("b/x.wav"))])
    ['x', 'x_2']
    """
    names = {}  # in this order
    for recording in recordings:
        stem = name = recording.path.stem
        number = 2
        while name in names:
            name, number = f"{stem}_{number}", number + 1
        names[name] = None
    return list(names)


def from_standard_input(folder):
    """A recording that is piped in, kept in a folder."""
    content = sys.stdin.buffer.read()
    if not content:
        raise InputError("standard input is empty; pipe an audio file in")
    with tempfile.NamedTemporaryFile(
        dir=folder, prefix="standard-input-", suffix=".wav", delete=False
    ) as stream:
        stream.write(content)
    return Recording(Path(stream.name))


def from_microphone(seconds, folder):
    """A recording of the microphone, kept in a folder."""
    try:
        import sounddevice
    # also raised where the sound library of the system is missing
    except (ImportError, OSError) as error:
        raise InputError(
            f"no microphone can be used ({error}); pip install "
            "'speechbrain_can[predict]', and on Debian libportaudio2"
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
