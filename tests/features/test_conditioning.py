"""Conditioning of recordings: silence at the edges, pauses and level."""

import pytest
import torch

from speechbrain.augment.augmenter import Augmenter
from speechbrain.augment.time_domain import AddNoise
from speechbrain_can.alignment.words import Word
from speechbrain_can.features.augmentation import AugmentedCopy, TelephoneBand
from speechbrain_can.features.conditioning import SpeechConditioning
from speechbrain_can.features.segments import equal_segments

RATE = 1000


def tone(seconds, level=0.1, rate=RATE):
    time = torch.arange(round(seconds * rate)) / rate
    return level * torch.sin(2 * torch.pi * 97 * time)


def silence(seconds, rate=RATE):
    return torch.zeros(round(seconds * rate))


def tiling(*bounds):
    return [
        Word(f"w{i}", start, end)
        for i, (start, end) in enumerate(zip(bounds, bounds[1:]))
    ]


def bounds_of(words):
    return [words[0].start, *(word.end for word in words)]


def plain_speech(waveform, rate, below):
    """Return the frames with speech, one by one."""
    hop = rate // 100
    power = [
        sum(float(x) ** 2 for x in waveform[i : i + hop]) / hop
        for i in range(0, len(waveform), hop)
    ]
    padded = [0, *power, 0]
    smooth = [sum(padded[i : i + 3]) / 3 for i in range(len(power))]
    return [value > max(smooth) * 10 ** (-below / 10) for value in smooth]


def test_speech_is_found_as_by_a_plain_reference():
    torch.manual_seed(0)
    loudness = torch.rand(60).repeat_interleave(37).pow(4)
    waveform = torch.randn(len(loudness)) * loudness
    for below in (10.0, 20.0, 35.0):
        condition = SpeechConditioning(RATE, margin=0, level=None, below=below)
        speech = plain_speech(waveform, RATE, below)
        first = speech.index(True) * 10
        last = (len(speech) - speech[::-1].index(True)) * 10
        found, _ = condition(waveform, tiling(0, len(waveform) / RATE))
        assert torch.equal(found, waveform[first:last])


@pytest.mark.parametrize("before", [0.0, 0.02, 0.3, 2.0])
@pytest.mark.parametrize("after", [0.0, 0.5])
def test_silence_at_the_edges_does_not_matter(before, after):
    speech = torch.cat([tone(0.5), tone(0.5, 0.02)])
    waveform = torch.cat([silence(before), speech, silence(after)])
    words = tiling(0, before + 0.5, before + 1 + after)
    found, moved = SpeechConditioning(RATE, level=None)(waveform, words)
    inside = found[(found != 0).nonzero().min() :]
    assert torch.equal(inside[: len(speech) - 1], speech[1:])
    assert [word.text for word in moved] == ["w0", "w1"]
    # up to a hop on each side, which the smoothing adds
    assert len(found) == pytest.approx(1200, abs=20)
    assert bounds_of(moved) == pytest.approx(
        [0, 0.6, len(found) / RATE], abs=0.011
    )


def test_level_does_not_matter():
    waveform = torch.cat([silence(0.2), tone(0.5), tone(0.3, 0.01)])
    words = tiling(0, 1.0)
    condition = SpeechConditioning(RATE, level=-20.0)
    expected, _ = condition(waveform, words)
    for gain in (0.001, 0.18, 2.8):
        found, _ = condition(gain * waveform, words)
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6)
    power = condition(torch.cat([silence(0.3), tone(2.0, 0.7)]), tiling(0, 2.3))
    assert power[0][150:-150].square().mean().sqrt() == pytest.approx(
        0.1, rel=0.02
    )


def test_pauses_are_shortened():
    waveform = torch.cat([tone(0.5), silence(1.0), tone(0.4), silence(0.1)])
    waveform = torch.cat([waveform, tone(0.3)])
    words = tiling(0, 1.0, 1.9, 2.3)
    condition = SpeechConditioning(RATE, margin=None, level=None, pause=0.2)
    found, moved = condition(waveform, words)
    # smoothing makes the pause one hop shorter at each end
    assert len(found) == 2300 - (980 - 200)
    assert found.count_nonzero() == waveform.count_nonzero()
    assert bounds_of(moved) == pytest.approx([0, 0.61, 1.12, 1.52], abs=0.02)


def test_audio_after_the_last_word_is_removed():
    waveform = torch.cat([tone(0.5), silence(0.5), tone(1.0)])
    found, moved = SpeechConditioning(RATE, level=None)(
        waveform, tiling(0, 0.2, 0.7)
    )
    assert found.count_nonzero() <= 500
    assert moved[-1].end == len(found) / RATE


def test_words_in_removed_silence_stay():
    waveform = torch.cat([silence(1.0), tone(0.5)])
    words = tiling(0, 0.3, 0.6, 1.2, 1.5)
    found, moved = SpeechConditioning(RATE)(waveform, words)
    assert [word.text for word in moved] == ["w0", "w1", "w2", "w3"]
    bounds = bounds_of(moved)
    assert bounds[0] == 0
    assert all(a < b for a, b in zip(bounds, bounds[1:]))
    # equal segments cover what remains
    segments = equal_segments(moved, overlap=0)
    assert segments[-1, 1] == pytest.approx(len(found) / RATE)


def test_silent_recordings_are_unchanged():
    waveform, words = silence(0.5), tiling(0, 0.2, 0.5)
    found, moved = SpeechConditioning(RATE)(waveform, words)
    assert torch.equal(found, waveform) and moved == words


def test_copies_are_reproducible():
    noise = AddNoise(snr_low=0, snr_high=0)
    augment = Augmenter(
        min_augmentations=1, max_augmentations=1, augmentations=[noise]
    )
    waveform, words = tone(1.0), tiling(0, 1.0)
    conditioning = SpeechConditioning(RATE, level=-30.0)
    copy = AugmentedCopy(augment, "noise", 0, conditioning)
    state = torch.get_rng_state()
    found, _ = copy(waveform, words)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(copy(waveform, words)[0], found)
    other = AugmentedCopy(augment, "noise", 1, conditioning)
    assert not torch.equal(other(waveform, words)[0], found)
    assert repr(other) != repr(copy)
    level = 10 * found[100:-100].square().mean().log10()
    assert level == pytest.approx(-30, abs=1)


def test_telephone_band():
    rate = 16000
    time = torch.arange(rate) / rate
    inside, outside = (torch.sin(2 * torch.pi * f * time) for f in (1000, 5000))
    filtered = TelephoneBand(rate)(torch.stack([inside, outside]))
    assert torch.allclose(filtered[0], inside, atol=1e-2)
    assert filtered[1].abs().max() < 1e-2
