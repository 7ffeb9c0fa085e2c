"""Measures of recordings, and warnings for those unlike the training set."""

import math
from typing import Callable, NamedTuple, Sequence

import numpy as np
import torch

from speechbrain_can.features.conditioning import frame_power

BELOW = 35.0  # dB below the loudest frame at which speech ends
QUIET = 0.1  # share of the frames that is noise
# Samples within this share of the peak are clipped if several follow each other
FLAT, RUN = 0.001, 3
QUANTILES = (0.005, 0.995)  # of the training set; others are warned about
HIGHEST_SNR = 100.0  # dB; digital silence has no noise


class Measure(NamedTuple):
    """A measure of a recording.

    Arguments
    ---------
    low, high : str or None
        Texts of a warning if the measure is below or above the usual range, with
        the value as ``{}``; None for no warning.
    form : callable
        Formats a value.
    """

    low: str | None
    high: str | None
    form: Callable[[float], str]


def _seconds(value: float) -> str:
    return f"{value:.1f} s"


def _decibels(value: float) -> str:
    return f"{value:.0f} dB"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def _rate(value: float) -> str:
    return f"{value:.1f}"


MEASURES = {
    "seconds": Measure(
        "short: speech lasts {}", "long: speech lasts {}", _seconds
    ),
    "snr": Measure("noisy: signal-to-noise ratio {}", None, _decibels),
    "clipped": Measure(None, "clipped: {} of the samples", _percent),
    "speech": Measure(
        "little speech: {} of the time between first and last speech",
        None,
        _percent,
    ),
    "words per second": Measure(
        "slow, or words are missing: {} words per second",
        "fast, or the transcript is too long: {} words per second",
        _rate,
    ),
    "unknown words": Measure(None, "words unknown to the model: {}", _percent),
}


def measure(
    waveform: torch.Tensor, sample_rate: int, n_words: int
) -> dict[str, float]:
    """Return the measures of an utterance.

    Speech consists of the frames whose power is at most 35 dB below the loudest. The
    signal-to-noise ratio compares the loud frames with the quietest tenth.

    Arguments
    ---------
    waveform : torch.Tensor
        Samples, ``[samples]``.
    sample_rate : int
        Sample rate in Hz.
    n_words : int
        Number of words.

    Returns
    -------
    dict of str: float
        Values by name in ``MEASURES``, without ``unknown words``; empty for a waveform
        without any power.

    Example
    -------
    >>> tone = torch.cat([torch.zeros(50), torch.ones(100), torch.zeros(50)])
    >>> round(measure(tone, 100, 3)["words per second"], 1)
    2.9
    """
    power, hop = frame_power(waveform, sample_rate)
    if not len(power) or not power.max() > 0:
        return {}
    speech = power > power.max() * 10 ** (-BELOW / 10)
    first, last = np.flatnonzero(speech)[[0, -1]]
    seconds = (last + 1 - first) * hop / sample_rate
    quietest = np.sort(power)[: max(1, round(QUIET * len(power)))].mean()
    # Loud frames are above the middle, in dB, of the quietest and the loudest.
    loud = power[power >= math.sqrt(quietest * power.max())]
    ratio = loud.mean() / max(quietest, 1e-30)
    return {
        "seconds": float(seconds),
        "snr": min(HIGHEST_SNR, 10 * math.log10(ratio)),
        "clipped": _clipped(waveform.numpy()),
        "speech": float(speech[first : last + 1].mean()),
        "words per second": float(n_words / seconds),
    }


def _clipped(samples: np.ndarray) -> float:
    """Return the share of samples in runs at the peak."""
    magnitude = np.abs(samples)
    flat = magnitude >= (1 - FLAT) * magnitude.max()
    runs = np.convolve(flat, np.ones(RUN), "valid") == RUN
    inside = np.convolve(runs, np.ones(RUN)) > 0
    return float(inside.mean()) if len(runs) else 0.0


def usual_ranges(
    measures: Sequence[dict[str, float]],
) -> dict[str, tuple[float, float]]:
    """Return the range of each measure that contains 99% of the recordings."""
    return {
        name: tuple(float(v) for v in np.quantile(values, QUANTILES))
        for name in MEASURES
        if (values := [each[name] for each in measures if name in each])
    }


def describe_unusual(
    measures: dict[str, float], ranges: dict[str, tuple[float, float]]
) -> tuple[str, ...]:
    """Return a warning for each measure outside its usual range.

    Example
    -------
    >>> describe_unusual({"snr": 3.0}, {"snr": (20.0, 50.0)})
    ('noisy: signal-to-noise ratio 3 dB (training set: 20 dB to 50 dB)',)
    """
    warnings = []
    for name, value in measures.items():
        if name not in ranges:
            continue
        low, high = ranges[name]
        kind = MEASURES[name]
        text = kind.low if value < low else kind.high if value > high else None
        if text:
            ends = " to ".join(map(kind.form, ranges[name]))
            warnings.append(
                f"{text.format(kind.form(value))} (training set: {ends})"
            )
    return tuple(warnings)
