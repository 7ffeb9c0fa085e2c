"""Audio files: loading, resampling and durations."""

import math
import os
import shlex
import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Optional

import soundfile
import soxr
import torch
import torchaudio

from speechbrain.dataio import audio_io
from speechbrain_can.io.files import (
    LFS_POINTER,
    InputError,
    existing_form,
    is_lfs_pointer,
)

# Demuxers of PyAV for the formats that libsndfile does not read. Naming them prevents
# FFmpeg from opening playlists, which refer to other files.
DEMUXERS = {
    **dict.fromkeys((".m4a", ".mp4", ".m4b", ".mov", ".3gp"), "mov"),
    **dict.fromkeys((".webm", ".mkv", ".mka"), "matroska"),
    **{".amr": "amr", ".aac": "aac", ".wma": "asf"},
}
# Audio file extensions in folders; files that cannot be decoded are reported
AUDIO_SUFFIXES = {
    *(
        ".wav",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aif",
        ".aiff",
        ".aifc",
    ),
    *(".au", ".caf", ".w64", ".sph"),
    *DEMUXERS,
}
CHANNELS = {"left": 0, "right": 1}
MISSING = 0.05  # seconds of audio that a header may promise too much
RATES = (1000, 1_000_000)  # plausible sample rates in Hz
LARGEST_RATIO = 1000  # of the reduced rates that torchaudio resamples
# Independent channels have a mean of at least 1/n of the loudest of n channels.
CANCELLED = 0.5


class AudioError(InputError):
    """Raised for unusable audio; the message names the file."""


class AudioHeader(NamedTuple):
    """Properties of an audio file that are known before decoding.

    Arguments
    ---------
    duration : float
        Seconds.
    sample_rate : int
        Hz.
    channels : int
        Number of channels.
    """

    duration: float
    sample_rate: int
    channels: int


def parse_channel(channel: str | int | None) -> int | None:
    """Return the index of a channel: ``left``, ``right``, a number, or None for all.

    Example
    -------
    >>> parse_channel("right"), parse_channel("0"), parse_channel(None)
    (1, 0, None)
    """
    if channel is None:
        return None
    name = str(channel).strip().lower()
    if name in CHANNELS:
        return CHANNELS[name]
    if name.isdecimal():
        return int(name)
    raise InputError(
        f"invalid channel {channel!r}. Use left, right, or a number, starting at 0."
    )


def load_audio(
    path: str | Path, channel: str | int | None = None
) -> tuple[torch.Tensor, int]:
    """Load audio as mono.

    libsndfile decodes WAV, FLAC, Ogg, MP3 and others; PyAV (extra ``asr``) decodes
    M4A, MP4, WebM, AMR, AAC and WMA.

    Arguments
    ---------
    path : str or Path
        The file.
    channel : str, int or None
        The channel to load: ``left``, ``right`` or a number, starting at 0; None for
        the mean of all channels.

    Returns
    -------
    waveform : torch.Tensor
        Samples, ``[samples]``.
    rate : int
        Sample rate in Hz.

    Raises
    ------
    AudioError
        If the audio is unreadable, truncated, empty, constant, non-finite, or exceeds
        ten times full scale, if its sample rate is implausible, if its channels
        cancel each other, or if it does not have the channel.
    """
    path = existing_form(path)
    if not os.path.isfile(path):
        raise AudioError(f"{path}: audio file not found")
    channels, rate = _decode(path)
    if not RATES[0] <= rate <= RATES[1]:
        raise AudioError(
            f"{path}: the header states a sample rate of {rate} Hz, which is not "
            f"between {RATES[0]} and {RATES[1]} Hz. Correct the header."
        )
    if not channels.numel():
        raise AudioError(f"{path}: the audio contains no samples")
    _check_complete(path, channels.shape[1], rate)
    if not channels.isfinite().all():
        raise AudioError(f"{path}: the audio contains non-finite samples")
    waveform = _mono(path, channels, parse_channel(channel))
    if waveform.min() == waveform.max():
        raise AudioError(f"{path}: the audio is silent (all samples are equal)")
    if waveform.abs().max() > 10:
        raise AudioError(
            f"{path}: the audio exceeds ten times full scale (1.0)"
        )
    return waveform, rate


def read_waveform(
    path: str | Path, sample_rate: int, channel: str | int | None = None
) -> torch.Tensor:
    """Load a mono waveform ``[samples]`` and resample it to ``sample_rate`` (Hz).

    See ``load_audio`` for ``channel`` and the errors.
    """
    waveform, rate = load_audio(path, channel)
    return resample(waveform, rate, sample_rate)


def resample(waveform: torch.Tensor, rate: int, new_rate: int) -> torch.Tensor:
    """Resample a waveform ``[samples]`` from one rate to another, in Hz.

    The kernel of torchaudio grows with the reduced ratio of the rates: it takes 6 GB
    from 22,051 to 16,000 Hz. soxr resamples between such rates.

    Example
    -------
    >>> resample(torch.zeros(22051), 22051, 16000).shape
    torch.Size([16000])
    """
    if rate == new_rate:
        return waveform
    if max(rate, new_rate) // math.gcd(rate, new_rate) <= LARGEST_RATIO:
        return torchaudio.functional.resample(waveform, rate, new_rate)
    return torch.from_numpy(soxr.resample(waveform.numpy(), rate, new_rate))


def audio_duration(path: str | Path, channel: str | int | None = None) -> float:
    """Return the duration in seconds, decoding the whole file to verify it."""
    waveform, rate = load_audio(path, channel)
    return len(waveform) / rate


def read_header(path: str | Path) -> Optional[AudioHeader]:
    """Return the properties of an audio file, or None if it cannot be decoded."""
    path = existing_form(path)
    try:
        header = soundfile.info(path)
        return AudioHeader(header.duration, header.samplerate, header.channels)
    except soundfile.SoundFileError:
        pass
    if not _av_reads(path):
        return None
    import av

    try:
        with _open_with_av(path) as container:
            stream = container.streams.audio[0]
            # Recordings of browsers do not contain their duration.
            duration = max(
                float((packet.pts + (packet.duration or 0)) * stream.time_base)
                for packet in container.demux(stream)
                if packet.pts is not None
            )
            return AudioHeader(duration, stream.rate, stream.channels)
    except (av.error.FFmpegError, IndexError, ValueError):
        return None


def _decode(path: Path) -> tuple[torch.Tensor, int]:
    """Return the samples ``[channels, samples]`` of a file and their rate in Hz."""
    try:
        return audio_io.load(path)
    except RuntimeError as error:
        reason = str(error)
    with open(path, "rb") as stream:
        if is_lfs_pointer(stream.read(64)):
            raise AudioError(LFS_POINTER.format(path))
    advice = (
        f"Convert it to WAV: ffmpeg -i {shlex.quote(str(path))} "
        f"{shlex.quote(str(path.with_suffix('.converted.wav')))}"
    )
    if path.suffix.lower() in DEMUXERS:
        if _av_reads(path):
            return _decode_with_av(path, advice)
        advice = (
            f"Run pip install 'speechbrain_can[asr]' to read {path.suffix} files, or "
            f"convert the file to WAV: {advice.partition(': ')[2]}"
        )
    raise AudioError(
        f"{path}: the audio cannot be decoded ({reason}). {advice}"
    )


def _av_reads(path: Path) -> bool:
    """Return whether PyAV is installed and reads files with this extension."""
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return path.suffix.lower() in DEMUXERS


def _open_with_av(path: Path):
    import av

    return av.open(str(path), format=DEMUXERS[path.suffix.lower()])


def _decode_with_av(path: Path, advice: str) -> tuple[torch.Tensor, int]:
    """Decode the first audio stream of a file with PyAV."""
    import av

    try:
        with _open_with_av(path) as container:
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(
                format="fltp", layout=stream.layout, rate=stream.rate
            )
            frames = [
                torch.from_numpy(part.to_ndarray())
                for frame in [*container.decode(stream), None]
                for part in resampler.resample(frame)
            ]
            rate = stream.rate
    except IndexError as error:
        raise AudioError(f"{path}: the file contains no audio") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise AudioError(
            f"{path}: the audio cannot be decoded ({error}). {advice}"
        ) from error
    return torch.cat(frames, dim=1) if frames else torch.zeros(1, 0), rate


def _mono(
    path: Path, channels: torch.Tensor, channel: int | None
) -> torch.Tensor:
    """Return one channel, or the mean of the channels unless they cancel out."""
    number = len(channels)
    if channel is not None:
        if channel >= number:
            raise AudioError(
                f"{path}: there is no channel {channel}; the audio has {number} "
                f"channel{'s' if number > 1 else ''}, starting at 0"
            )
        return channels[channel]
    mean = channels.mean(dim=0)
    if number > 1:
        level = channels.var(dim=1).max().sqrt()
        if mean.std() < CANCELLED * level / number:
            raise AudioError(
                f"{path}: the {number} channels cancel each other, so their mean "
                "is much quieter than they are. Pass --channel=left (from Python: "
                "channel=0), or invert one of them."
            )
    return mean


def _check_complete(path: Path, frames: int, rate: int) -> None:
    """Raise an ``AudioError`` if a file ends before the end that its header states."""
    seconds = None
    with open(path, "rb") as stream:
        magic = stream.read(4)
        size = os.fstat(stream.fileno()).st_size
        if magic in _STATED_BYTES:
            stated, present = _STATED_BYTES[magic](stream, size)
            # Streaming writers do not know the length.
            known = 0 < stated < 0x7FFF0000 and present > 0
            seconds = frames / rate * (stated / present if known else 1)
        elif magic == b"fLaC" or _states_frames(stream, magic):
            seconds = soundfile.info(path).duration
        elif path.suffix.lower() in DEMUXERS and _av_reads(path):
            with _open_with_av(path) as container:
                seconds = _stated_by_container(container)
    if seconds is not None and seconds - frames / rate > MISSING:
        raise AudioError(
            f"{path}: the file is truncated. Its header states {seconds:.2f} s but it "
            f"contains {frames / rate:.2f} s. Copy or download it again."
        )


def _stated_by_container(container: Any) -> float | None:
    """Return the stated duration of the audio in seconds; None if it is unknown."""
    stream = container.streams.audio[0]
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    # A video may be longer than its audio.
    if container.duration is None or container.streams.video:
        return None
    return container.duration / 1e6  # us


def _states_frames(stream: BinaryIO, magic: bytes) -> bool:
    """Return whether a file is MP3 with its number of frames in the first frame."""
    start = 0
    if magic[:3] == b"ID3":
        stream.seek(6)
        digits = stream.read(4)  # seven bits each
        start = 10 + sum(d << 7 * i for i, d in enumerate(reversed(digits)))
    stream.seek(start)
    frame = stream.read(256)
    return frame[:1] == b"\xff" and any(
        name in frame for name in (b"Xing", b"Info", b"VBRI")
    )


def _bytes_of_riff(stream: BinaryIO, size: int) -> tuple[int, int]:
    """Return the stated and the actual size of the samples of a WAV file."""
    position = 12
    while position + 8 <= size:
        stream.seek(position)
        name, length = struct.unpack("<4sI", stream.read(8))
        position += 8
        if name == b"data":
            return length, min(length, size - position)
        position += length + length % 2
    return 0, 0


def _bytes_of_aiff(stream: BinaryIO, size: int) -> tuple[int, int]:
    """Return the stated and the actual size of an AIFF file."""
    return struct.unpack(">I", stream.read(4))[0] + 8, size


def _bytes_of_au(stream: BinaryIO, size: int) -> tuple[int, int]:
    """Return the stated and the actual size of the samples of an AU file."""
    offset, length = struct.unpack(">II", stream.read(8))
    return length, size - offset


_STATED_BYTES = {
    b"RIFF": _bytes_of_riff,
    b"FORM": _bytes_of_aiff,
    b".snd": _bytes_of_au,
}
