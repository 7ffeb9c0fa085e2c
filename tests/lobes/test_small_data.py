"""Losses, mixup and projections, compared with slow reference implementations."""

import numpy as np
import pytest
import torch
from helpers.encoders import draw_audio
from sklearn.utils.class_weight import compute_class_weight

from speechbrain_can.lobes.attention import Contexts, CrossAttention
from speechbrain_can.lobes.audio import (
    FramesAsStored,
    LayerWeights,
    WordEncoder,
)
from speechbrain_can.lobes.classifiers import (
    CrossClassifier,
    EmotionOutput,
    SingleClassifier,
    single_output,
)
from speechbrain_can.lobes.losses import EmotionLoss, cross_entropies
from speechbrain_can.lobes.mixup import MixedOutput, Mixup, mixed_targets
from speechbrain_can.lobes.network import StoredTextNetwork
from speechbrain_can.lobes.pooling import StatisticsPooling
from speechbrain_can.lobes.projection import (
    JoinedFrames,
    ProjectedFrames,
    ProjectedWords,
)
from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding

pytestmark = pytest.mark.training

CLOSE = {"atol": 1e-5, "rtol": 1e-4}


def a_batch(utterances=6, n_classes=4):
    logits = 3 * torch.randn(utterances, n_classes)
    return single_output(logits), torch.arange(utterances) % n_classes


def test_the_defaults_are_the_plain_cross_entropy():
    output, targets = a_batch()
    plain = cross_entropies(output, targets)
    loss = EmotionLoss()
    loss.fit_classes(torch.tensor([3, 2, 1, 4]))
    assert torch.equal(loss(output, targets)["joint"], plain["joint"])
    # no smoothing and no focus, but without the shortcut
    almost = EmotionLoss(class_weights=[1, 1, 1, 1], label_smoothing=1e-12)
    almost.fit_classes(torch.ones(4))
    torch.testing.assert_close(
        almost(output, targets)["joint"], plain["joint"], **CLOSE
    )


LOSSES = {
    "default": EmotionLoss,
    "balanced": lambda: EmotionLoss(class_weights="balanced"),
    "focal": lambda: EmotionLoss(focal_gamma=2.0),
    "smoothed": lambda: EmotionLoss(label_smoothing=0.1),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_contract_of_losses(name):
    """One loss per utterance and prediction that does not depend on the batch."""
    loss = LOSSES[name]()
    loss.fit_classes(torch.tensor([3, 2, 1, 4]))
    predictions = ("joint", "text", "audio")
    logits = {key: 3 * torch.randn(6, 4) for key in predictions}
    weights = dict.fromkeys(logits, 1.0)
    targets = torch.arange(6) % 4
    losses = loss(EmotionOutput(logits, weights), targets)
    assert losses.keys() == logits.keys()
    for values in losses.values():
        assert values.shape == (6,) and values.isfinite().all()
    order = torch.tensor([4, 1])
    some = {key: value[order] for key, value in logits.items()}
    again = loss(EmotionOutput(some, weights), targets[order])
    shares = torch.nn.functional.one_hot(targets, 4).float()
    with_shares = loss(EmotionOutput(logits, weights), shares)
    for key, values in losses.items():
        torch.testing.assert_close(again[key], values[order], **CLOSE)
        torch.testing.assert_close(with_shares[key], values, **CLOSE)


def test_losses_match_their_papers():
    output, targets = a_batch()
    logits = output.logits["joint"]
    entropy = torch.nn.functional.cross_entropy
    smooth = EmotionLoss(label_smoothing=0.2)(output, targets)["joint"]
    expected = entropy(logits, targets, reduction="none", label_smoothing=0.2)
    torch.testing.assert_close(smooth, expected, **CLOSE)
    focal = EmotionLoss(focal_gamma=2.0)(output, targets)["joint"]
    for row, target, found in zip(logits, targets, focal):
        p = row.softmax(0)[target]
        assert found.item() == pytest.approx(
            (-((1 - p) ** 2) * p.log()).item(), rel=1e-4
        )
    counts = torch.tensor([10, 5, 3, 2])
    balanced = EmotionLoss(class_weights="balanced")
    balanced.fit_classes(counts)
    labels = np.repeat(np.arange(4), counts.numpy())
    weights = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    plain = entropy(logits, targets, reduction="none")
    torch.testing.assert_close(
        balanced(output, targets)["joint"],
        plain * torch.tensor(weights, dtype=torch.float)[targets],
        **CLOSE,
    )


def test_class_shares_as_targets():
    output, targets = a_batch()
    shares = torch.nn.functional.one_hot(targets, 4).float()
    for options in (
        {},
        {"label_smoothing": 0.1},
        {"focal_gamma": 1.0},
        {"class_weights": [1, 2, 3, 4]},
    ):
        loss = EmotionLoss(**options)
        loss.fit_classes(torch.ones(4))
        torch.testing.assert_close(
            loss(output, shares)["joint"],
            loss(output, targets)["joint"],
            **CLOSE,
        )
    half = torch.full((6, 4), 0.25)
    log_probabilities = output.logits["joint"].log_softmax(1)
    torch.testing.assert_close(
        EmotionLoss(focal_gamma=0.0, label_smoothing=0.5)(output, half)[
            "joint"
        ],
        -log_probabilities.mean(1),
        **CLOSE,
    )


def test_bad_class_weights_are_refused():
    with pytest.raises(ValueError, match="must be 'balanced', a list"):
        EmotionLoss(class_weights="inverse")
    with pytest.raises(ValueError, match="3 class_weights for 4 classes"):
        EmotionLoss(class_weights=[1, 2, 3]).fit_classes(torch.ones(4))


@pytest.mark.parametrize("crossed", [True, False])
def test_mixup_of_contexts_and_targets(crossed):
    inner = CrossClassifier(8, 4) if crossed else SingleClassifier(8, 4)
    mixup = Mixup(inner, alpha=0.4).train()
    contexts = torch.randn(5, 8)
    if crossed:
        contexts = Contexts(*torch.randn(4, 5, 8))
    targets = torch.tensor([0, 1, 2, 3, 0])
    output = mixup(contexts)
    assert isinstance(output, MixedOutput)
    shares = mixed_targets(output, targets)
    parts = contexts if crossed else (contexts,)
    for i in range(5):
        j, own = int(output.order[i]), output.share[i]
        mixed = [own * part[i] + (1 - own) * part[j] for part in parts]
        seen = torch.cat(mixed)[None] if crossed else mixed[0][None]
        torch.testing.assert_close(
            output.logits["joint"][i], inner.joint(seen)[0], **CLOSE
        )
        expected = torch.zeros(4)
        expected[targets[i]] += own.item()
        expected[targets[j]] += 1 - own.item()
        torch.testing.assert_close(shares[i], expected, **CLOSE)
    # no mixup in evaluation, or with an alpha of 0
    for plain in (mixup.eval(), Mixup(inner, alpha=0).train()):
        output = plain(contexts)
        assert type(output) is EmotionOutput
        assert mixed_targets(output, targets) is targets
        for name, logits in inner(contexts).logits.items():
            assert torch.equal(output.logits[name], logits)


def test_statistics_per_word():
    steps, counts = torch.randn(9, 3), torch.tensor([1, 5, 3])
    pooled = StatisticsPooling(3)(steps, counts)
    for row, own in zip(pooled, steps.split(counts.tolist())):
        torch.testing.assert_close(row[:3], own.mean(0), **CLOSE)
        expected = own.std(0, unbiased=False)
        torch.testing.assert_close(row[3:], expected, **CLOSE)
    steps.requires_grad_()
    StatisticsPooling(3)(steps, counts).sum().backward()
    assert steps.grad.isfinite().all()


def stored_text_network():
    frames = JoinedFrames([14, 5], [LayerWeights(7, 14), FramesAsStored(5)])
    return StoredTextNetwork(
        text_size=6,
        text_encoder=WordEncoder(FramesAsStored(6), hidden_size=8),
        audio_encoder=WordEncoder(ProjectedFrames(frames, 4), hidden_size=8),
        fusion=CrossAttention(16),
        classifier=Mixup(CrossClassifier(16, 7)),
    ).eval()


def test_invariance_to_batches():
    model = stored_text_network()
    words = [["a"], ["b", "c", "d"], ["e", "f"]]
    audio = draw_audio(words, 25)
    audio = audio._replace(
        frames=torch.randn(6, 25), frame_counts=torch.ones(6, dtype=torch.long)
    )
    together = model(words, audio)
    ends = audio.word_counts.cumsum(0)
    for i, (end, count) in enumerate(zip(ends, audio.word_counts)):
        own = audio._replace(
            frames=audio.frames[end - count : end],
            frame_counts=audio.frame_counts[end - count : end],
            word_counts=audio.word_counts[i : i + 1],
        )
        alone = model([words[i]], own)
        for name, logits in alone.logits.items():
            torch.testing.assert_close(
                together.logits[name][i], logits[0], **CLOSE
            )
    # text features precede audio features
    moved = audio.frames.clone()
    moved[:, :6] += 1
    text = model(words, audio._replace(frames=moved))
    assert torch.equal(text.logits["audio"], together.logits["audio"])
    assert not torch.equal(text.logits["text"], together.logits["text"])


def test_projected_words_learn_the_vocabulary_below():
    encoder = WordBLSTM(ProjectedWords(WordEmbedding(12), 4), 8).eval()
    encoder.fit_vocabulary(["oh", "really"])
    one = encoder([["oh", "really"]])
    assert one.shape == (1, 2, 16)
    assert not torch.equal(one, encoder([["really", "oh"]]))


def test_number_of_sizes_must_match():
    with pytest.raises(ValueError, match="1 sizes for 2 frame encoders"):
        JoinedFrames([3], [FramesAsStored(3), FramesAsStored(3)])
