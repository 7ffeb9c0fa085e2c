"""Features that are computed in the main process, as on a GPU."""

import pytest
import torch
from helpers.corpora import build_store
from helpers.encoders import front_end

from speechbrain_can.features import cache
from speechbrain_can.features.cache import _batches, is_on_gpu
from speechbrain_can.features.hidden import SegmentHidden
from speechbrain_can.features.joined import JoinedFeatures
from speechbrain_can.features.spectral import SegmentMFCC


@pytest.mark.parametrize("workers", [0, 2])
def test_features_of_both_ways_are_equal(
    tmp_path, small_corpus, tiny, monkeypatch, workers
):
    """Worker processes compute features, or only read recordings."""
    compute = SegmentHidden(front_end(tiny, "cut"), deviation=True)
    options = {"compute_features": compute, "num_workers": workers}
    here = build_store(tmp_path, small_corpus, **options)
    monkeypatch.setattr(cache, "is_on_gpu", lambda compute: True)
    monkeypatch.setattr(cache, "VERSION", "other")
    there = build_store(tmp_path, small_corpus, **options)
    assert here.folder != there.folder
    for name in small_corpus:
        for one, other in zip(here[name], there[name]):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_batches_are_sized_by_audio(small_corpus):
    """The utterances last 0.5, 0.75 and 1 s."""
    sizes = {
        seconds: [len(batch) for batch in _batches(small_corpus, 8, seconds)]
        for seconds in (0.1, 1.6, 3.0, None)
    }
    assert sizes == {0.1: [1, 1, 1], 1.6: [2, 1], 3.0: [3], None: [3]}
    assert [len(batch) for batch in _batches(small_corpus, 1, None)] == [1] * 3


def test_devices_of_features(tiny):
    hidden = SegmentHidden(front_end(tiny, "cut"), device="meta")
    assert is_on_gpu(hidden) and not is_on_gpu(SegmentMFCC())
    joined = JoinedFeatures([hidden, hidden])
    assert is_on_gpu(joined)
    if not torch.cuda.is_available():
        automatic = SegmentHidden(
            front_end(tiny, "cut"), device="auto", half=True
        )
        assert automatic.device.type == "cpu" and not automatic.half
