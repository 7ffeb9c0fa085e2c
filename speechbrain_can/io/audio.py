"""Audio files: loading, resampling and durations."""

import os
from pathlib import Path

import torch
import torchaudio

from speechbrain.dataio import audio_io
from speechbrain_can.io.files import InputError


class AudioError(InputError):
    """Raised for unusable audio; the message names the file."""


def load_audio(path: str | Path) -> tuple[torch.Tensor, int]:
    """Load audio as mono by averaging its channels.

    Returns
    -------
    waveform : torch.Tensor
        Samples, ``[samples]``.
    rate : int
        Sample rate in Hz.

    Raises
    ------
    AudioError
        If the audio is unreadable, empty, constant, non-finite, or exceeds ten
        times full scale.
    """
    if not os.path.isfile(path):
        raise AudioError(f"{path}: audio file not found")
    try:
        channels, rate = audio_io.load(path)
    except RuntimeError as error:
        raise AudioError(f"{path}: the audio cannot be decoded ({error})")
    if not channels.numel():
        raise AudioError(f"{path}: the audio contains no samples")
    if not channels.isfinite().all():
        raise AudioError(f"{path}: the audio contains non-finite samples")
    waveform = channels.mean(dim=0)
    if waveform.min() == waveform.max():
        raise AudioError(f"{path}: the audio is silent (all samples are equal)")
    if waveform.abs().max() > 10:
        raise AudioError(
            f"{path}: the audio exceeds ten times full scale (1.0)"
        )
    return waveform, rate


def read_waveform(path: str | Path, sample_rate: int) -> torch.Tensor:
    """Load a mono waveform ``[samples]`` and resample it to ``sample_rate`` (Hz).

    Raises ``AudioError`` under the conditions of ``load_audio``.
    """
    waveform, rate = load_audio(path)
    if rate != sample_rate:
        waveform = torchaudio.functional.resample(waveform, rate, sample_rate)
    return waveform


def audio_duration(path: str | Path) -> float:
    """Return the duration in seconds, decoding the whole file to verify it."""
    waveform, rate = load_audio(path)
    return len(waveform) / rate
