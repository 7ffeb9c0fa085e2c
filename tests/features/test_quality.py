import numpy as np
import pytest
import torch
from helpers.seeds import shifted

from speechbrain_can.features.quality import (
    describe_unusual,
    measure,
    usual_ranges,
)

RATE = 16000


def speech(seconds=1.0, margin=0.5, noise=0.0, gain=0.1):
    """Return a burst of noise between pauses, with noise everywhere."""
    generator = torch.Generator().manual_seed(shifted(0))
    burst = torch.randn(round(seconds * RATE), generator=generator)
    silence = torch.zeros(round(margin * RATE))
    waveform = gain * torch.cat([silence, burst, silence])
    hum = torch.randn(len(waveform), generator=generator)
    return waveform + gain * noise * hum


def test_duration_ignores_silence():
    for margin in (0.1, 0.5, 2.0):
        found = measure(speech(margin=margin), RATE, 4)
        assert found["seconds"] == pytest.approx(1.0, abs=0.05)
        assert found["words per second"] == pytest.approx(4, abs=0.2)
        assert found["speech"] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("ratio", [10, 20, 30])
def test_signal_to_noise_ratio(ratio):
    noise = 10 ** (-ratio / 20)
    found = measure(speech(noise=noise), RATE, 1)
    assert found["snr"] == pytest.approx(ratio, abs=2)
    louder = measure(5 * speech(noise=noise), RATE, 1)
    assert louder["snr"] == pytest.approx(found["snr"])


def test_clipping():
    assert measure(speech(), RATE, 1)["clipped"] == 0
    waveform = speech().clamp(-0.1, 0.1)
    expected = (waveform.abs() >= 0.0999).float().mean()
    found = measure(waveform, RATE, 1)["clipped"]
    assert 0.02 < found <= expected


def test_silence_has_no_measures():
    assert measure(torch.zeros(RATE), RATE, 1) == {}
    assert measure(torch.zeros(0), RATE, 1) == {}


def test_only_recordings_outside_the_range_are_unusual():
    generator = np.random.default_rng(shifted(1))
    ranges = usual_ranges(
        [{"seconds": s, "snr": s} for s in generator.uniform(1, 5, 2000)]
    )
    low, high = ranges["seconds"]
    assert 1 <= low < 1.2 and 4.8 < high <= 5
    assert describe_unusual({"seconds": 3.0, "snr": 9.0}, ranges) == ()
    (warning,) = describe_unusual({"seconds": 9.0, "clipped": 1.0}, ranges)
    assert warning == "long: speech lasts 9.0 s (training set: 1.0 s to 5.0 s)"
