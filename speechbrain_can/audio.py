"""Audio files.

Authors
 * The speechbrain-can developers 2026
"""

import os

import numpy as np
import soundfile
import torch
import torchaudio

from speechbrain_can.files import InputError


class AudioError(InputError):
    """Audio that cannot be used; the message names the file."""


def read_waveform(path, sample_rate):
    """A mono waveform ``[samples]`` at a rate in Hz, resampled where necessary.

    Channels are averaged. Raises ``AudioError`` if the file cannot be read, is
    empty, or holds nothing but silence.
    """
    if not os.path.exists(path):
        raise AudioError(f"{path}: no such audio file")
    try:
        samples, rate = soundfile.read(
            str(path), dtype="float32", always_2d=True
        )
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError(f"{path}: unreadable audio ({error})")
    if not len(samples):
        raise AudioError(f"{path}: the audio has no samples")
    if not np.isfinite(samples).all():
        raise AudioError(f"{path}: the audio has samples that are not numbers")
    if not samples.any():
        raise AudioError(f"{path}: the audio is silent, every sample is 0")
    waveform = torch.from_numpy(samples.mean(axis=1))
    if rate != sample_rate:
        waveform = torchaudio.functional.resample(waveform, rate, sample_rate)
    return waveform


def audio_duration(path):
    """Seconds of an audio file, which is read to the end to be sure of it."""
    if not os.path.exists(path):
        raise AudioError(f"{path}: no such audio file")
    try:
        rate = soundfile.info(str(path)).samplerate
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError(f"{path}: unreadable audio ({error})")
    return len(read_waveform(path, rate)) / rate
