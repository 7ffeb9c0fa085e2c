import pytest
import torch
from helpers.corpora import build_store

import speechbrain as sb
from speechbrain_can.training.data import flat_batch, make_datasets

pytestmark = pytest.mark.training


def test_batches_of_a_fold(tmp_path, small_corpus):
    store = build_store(tmp_path, small_corpus)
    encoder = sb.dataio.encoder.CategoricalEncoder()
    encoder.update_from_iterable(["sad", "ang"])
    datasets = make_datasets(
        small_corpus, {"train": ["a", "c"], "test": ["b"]}, store, encoder
    )
    assert list(datasets) == ["train", "test"]
    assert datasets["train"].data_ids == ["a", "c"]
    (batch,) = torch.utils.data.DataLoader(
        datasets["train"], batch_size=2, collate_fn=flat_batch
    )
    assert batch.ids == ["a", "c"]
    assert batch.words == [["so", "what"]] * 2
    frames, counts = zip(store["a"], store["c"])
    assert torch.equal(batch.audio.frames, torch.cat(frames))
    assert torch.equal(batch.audio.frame_counts, torch.cat(counts))
    assert batch.audio.word_counts.tolist() == [2, 2]
    assert batch.targets.tolist() == [1, 1]
    moved = batch.to("meta")
    assert {t.device.type for t in (moved.audio.frames, moved.targets)} == {
        "meta"
    }
    assert moved.words == batch.words and batch.targets.device.type == "cpu"
