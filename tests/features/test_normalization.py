import pytest
import torch

from speechbrain_can.features.normalization import GlobalNormalization
from speechbrain_can.inference.recognizer import _normalized

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
