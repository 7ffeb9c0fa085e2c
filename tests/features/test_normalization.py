import pytest
import torch

from speechbrain_can.features.normalization import (
    GlobalNormalization,
    SpeakerAdaptation,
    SpeakerProfile,
    mean_frames,
    shifted,
)
from speechbrain_can.inference.recognizer import _normalized
from speechbrain_can.lobes.ragged import WordFrames

pytestmark = pytest.mark.training


def test_constant_features_of_a_group_are_zero():
    """Prediction normalizes like training, in double precision."""
    torch.manual_seed(0)
    frames = torch.randn(3000, 4)
    frames[:, 1] = 1000.1
    frames[:, 2] = 1e-7
    whole = _normalized(list(frames.split(700)), ["a"] * 5)
    found = torch.cat(whole)
    assert (found[:, 1] == 0).all() and found[:, 2].abs().max() < 1e-5
    expected = (
        frames.double() - frames.double().mean(0)
    ) / frames.double().std(0, unbiased=False)
    torch.testing.assert_close(
        found[:, [0, 3]], expected[:, [0, 3]].float(), atol=1e-5, rtol=1e-5
    )


def test_normalization():
    frames = 3 + 2 * torch.randn(1000, 4)
    frames[:, 3] = 5.0
    normalize = GlobalNormalization(4)
    normalize.set_statistics(frames.mean(0), frames.std(0))
    normal = normalize(frames)
    assert normal.mean(0).abs().max() < 1e-5
    torch.testing.assert_close(normal.std(0)[:3], torch.ones(3))
    assert normal[:, 3].abs().max() == 0
    copy = GlobalNormalization(4)
    copy.load_state_dict(normalize.state_dict())
    assert torch.equal(copy(frames), normal)


def adaptation(strength=2.0, emotion_strength=0.7):
    normalize = SpeakerAdaptation(4, 3, strength, emotion_strength)
    normalize.class_means.copy_(torch.randn(3, 4))
    return normalize


def test_class_means_are_those_of_a_plain_reference():
    means, targets = torch.randn(50, 4), torch.randint(3, (50,))
    normalize = SpeakerAdaptation(4, 3)
    batches = [(means[i : i + 7], targets[i : i + 7]) for i in range(0, 50, 7)]
    normalize.fit_classes(batches)
    for i in range(3):
        own = [m for m, t in zip(means, targets) if t == i]
        expected = sum(own) / len(own)
        torch.testing.assert_close(normalize.class_means[i], expected)


def test_an_offset_is_the_posterior_mean_of_the_model():
    """Compared with the Gaussian model of all recordings, written as matrices."""
    normalize = adaptation()
    emotions = torch.tensor([0, 0, 2, 0, 2])
    one_hot = torch.eye(3)[emotions]
    means = torch.randn(5, 4)
    found = normalize.offset(normalize.evidence(means, one_hot))
    residuals = means - normalize.class_means[emotions]
    # covariance of the recordings, relative to the variance of the offsets
    same = (emotions[:, None] == emotions[None]).float()
    covariance = torch.ones(5, 5) + 0.7 * same + 2.0 * torch.eye(5)
    expected = torch.ones(5) @ torch.linalg.solve(covariance, residuals)
    torch.testing.assert_close(found, expected)


def test_a_recording_does_not_adapt_itself():
    normalize = adaptation()
    means, probabilities = torch.randn(6, 4), torch.randn(6, 3).softmax(1)
    evidence = [
        normalize.evidence(mean[None], row[None])
        for mean, row in zip(means, probabilities)
    ]
    profile = SpeakerProfile.empty(3, 4)
    for own in evidence:
        profile.add(own)
    assert profile.recordings == 6
    for i in range(6):
        others = [j for j in range(6) if j != i]
        expected = normalize.offset(
            normalize.evidence(means[others], probabilities[others])
        )
        torch.testing.assert_close(
            normalize.offset(profile, evidence[i]), expected
        )
    nobody = SpeakerProfile.empty(3, 4)
    assert torch.equal(normalize.offset(nobody), torch.zeros(4))


def test_recordings_of_one_emotion_do_not_hide_it():
    """The offset of a speaker does not contain the emotion of the recordings."""
    normalize, offset = adaptation(0.001, 0.0), torch.randn(4)
    for emotions in ([0] * 20, [1] * 20, [0, 1, 2] * 7):
        means = normalize.class_means[emotions] + offset
        evidence = normalize.evidence(means, torch.eye(3)[emotions])
        torch.testing.assert_close(
            normalize.offset(evidence), offset, atol=1e-3, rtol=1e-3
        )


def test_frames_of_utterances_are_shifted():
    audio = WordFrames(
        torch.randn(9, 2), torch.tensor([4, 2, 3]), torch.tensor([2, 1])
    )
    parts = audio.frames[:6], audio.frames[6:]
    expected = torch.stack([part.mean(0) for part in parts])
    torch.testing.assert_close(mean_frames(audio), expected)
    moved = shifted(audio, expected)
    torch.testing.assert_close(mean_frames(moved), torch.zeros(2, 2))
    torch.testing.assert_close(moved.frames[6:], parts[1] - expected[1])
