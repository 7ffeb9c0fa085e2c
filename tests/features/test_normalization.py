import pytest
import torch

from speechbrain_can.features.normalization import GlobalNormalization

pytestmark = pytest.mark.training


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
