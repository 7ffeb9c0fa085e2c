import torch
from helpers.corpora import build_store

import speechbrain as sb
from speechbrain_can.training.dataio import flat_batch, make_datasets


def test_words_stay_lists():
    examples = [{"words": ["so", "what"]}, {"words": ["oh", "well"]}]
    assert flat_batch(examples).words == [["so", "what"], ["oh", "well"]]
    assert flat_batch(examples[:1]).words == [["so", "what"]]


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
    assert batch.id == ["a", "c"]
    assert batch.words == [["so", "what"]] * 2
    frames, counts = zip(store["a"], store["c"])
    assert torch.equal(batch.frames.data, torch.cat(frames))
    assert torch.equal(batch.frame_counts.data, torch.cat(counts))
    # absolute, not relative: SpeechBrain's lengths lose steps to rounding
    assert batch.frame_counts.lengths.tolist() == [2, 2]
    assert batch.emotion_encoded.data.tolist() == [1, 1]
