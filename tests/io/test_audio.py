import numpy as np
import pytest
import soundfile
import torch
from helpers.corpora import bad_audio

from speechbrain_can.io.audio import AudioError, read_waveform


@pytest.mark.parametrize("rate", [16000, 22050])
def test_waveform_is_resampled(tmp_path, rate):
    times = np.arange(rate) / rate
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2760 * times), rate)
    waveform = read_waveform(tmp_path / "a.wav", 16000)
    assert waveform.shape == (16000,)
    expected = 0.5 * torch.sin(2760 * torch.arange(16000) / 16000)
    assert (waveform - expected)[200:-200].abs().max() < 0.01


def test_channels_are_averaged(tmp_path):
    left, right = np.linspace(0, 0.5, 800), np.full(800, -0.1)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 16000)
    waveform = read_waveform(tmp_path / "a.wav", 16000)
    expected = torch.from_numpy((left + right) / 2).float()
    torch.testing.assert_close(waveform, expected, atol=1e-4, rtol=0)


REASONS = {
    "constant": "silent",
    "antiphase": "silent",
    "too loud": "exceeds ten times full scale",
    "a pipe": "file not found",
    "unreadable": "cannot be decoded",
    "not numbers": "non-finite samples",
    "no such audio": "file not found",
}


@pytest.mark.parametrize(
    "kind",
    [
        *["unreadable", "no samples", "silent", "not numbers", "no such audio"],
        *["constant", "antiphase", "too loud", "a pipe"],
    ],
)
def test_bad_audio_names_the_file(tmp_path, kind):
    path = tmp_path / "a.wav"
    bad_audio(path, kind)
    reason = REASONS.get(kind, kind)
    with pytest.raises(AudioError, match=f"a.wav.*{reason}"):
        read_waveform(path, 16000)
