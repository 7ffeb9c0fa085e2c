"""Audio files.

Authors
 * The speechbrain-can developers 2026
"""

import os

import torchaudio

from speechbrain.dataio import audio_io
from speechbrain_can.files import InputError


class AudioError(InputError):
    """Audio that cannot be used; the message names the file."""


def load_audio(path):
    """A mono waveform ``[samples]``, its channels averaged, and its rate in Hz.

    Raises ``AudioError`` for what is unreadable, empty, silent or far too loud.
    """
    if not os.path.isfile(path):
        raise AudioError(f"{path}: no such audio file")
    try:
        channels, rate = audio_io.load(path)
    except RuntimeError as error:
        raise AudioError(f"{path}: unreadable audio ({error})")
    if not channels.numel():
        raise AudioError(f"{path}: the audio has no samples")
    if not channels.isfinite().all():
        raise AudioError(f"{path}: the audio has samples that are not numbers")
    waveform = channels.mean(dim=0)
    if waveform.min() == waveform.max():
        raise AudioError(f"{path}: the audio is silent, all samples are equal")
    if waveform.abs().max() > 10:
        raise AudioError(
            f"{path}: the audio is far beyond full scale, which is 1"
        )
    return waveform, rate


def read_waveform(path, sample_rate):
    """A mono waveform ``[samples]`` at a rate in Hz, resampled where necessary.

    Raises ``AudioError`` as ``load_audio`` does.
    """
    waveform, rate = load_audio(path)
    if rate != sample_rate:
        waveform = torchaudio.functional.resample(waveform, rate, sample_rate)
    return waveform


def audio_duration(path):
    """Seconds of an audio file, which is read to the end to be sure of it."""
    waveform, rate = load_audio(path)
    return len(waveform) / rate
