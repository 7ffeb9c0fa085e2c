"""Attention, loss and decision of CAN."""

import pytest
import torch
from helpers.networks import as_batch, make, make_utterances

from speechbrain_can.lobes.attention import Attention, CrossAttention
from speechbrain_can.lobes.classifiers import EmotionOutput
from speechbrain_can.lobes.losses import cross_entropies, decide, total_loss

pytestmark = pytest.mark.training


def test_padding_is_never_attended():
    model = make("can").eval()
    utterances = make_utterances([2, 9])
    attention = model(*as_batch(utterances)).attention
    for weights in attention:
        assert weights.shape == (2, 9, 4)
        torch.testing.assert_close(weights.sum(1), torch.ones(2, 4))
        assert (weights[0, 2:] == 0).all()


def test_contexts_do_not_depend_on_padding():
    fusion = CrossAttention(8, heads=4)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    text, audio = torch.randn(2, 2, 3, 8)
    contexts, _ = fusion(text, audio, mask, mask)
    text[0, 2], audio[0, 2] = 1e6, -1e6
    changed, _ = fusion(text, audio, mask, mask)
    torch.testing.assert_close(contexts, changed)


def test_attention_of_one_word():
    model = make("can").eval()
    attention = model(*as_batch(make_utterances([1]))).attention
    for weights in attention:
        torch.testing.assert_close(weights, torch.ones(1, 1, 4))


def gradient_of(value, parameter):
    (gradient,) = torch.autograd.grad(
        value.sum(), parameter, retain_graph=True, allow_unused=True
    )
    return 0.0 if gradient is None else gradient.abs().max().item()


def test_the_stop_gradient_cuts_where_the_equations_say():
    model = make("can").eval()
    words, audio = as_batch(make_utterances([5, 3]))
    text_hidden = model.text_encoder(words)
    audio_hidden = model.audio_encoder(audio)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    contexts, _ = model.fusion(text_hidden, audio_hidden, mask, mask)
    text_query = model.fusion.text_attention.query
    audio_query = model.fusion.audio_attention.query

    assert gradient_of(contexts.ta, text_query) == 0
    assert gradient_of(contexts.ta, text_hidden) == 0
    assert gradient_of(contexts.ta, audio_query) == 0
    assert gradient_of(contexts.ta, audio_hidden) > 0
    assert gradient_of(contexts.at, audio_query) == 0
    assert gradient_of(contexts.at, audio_hidden) == 0
    assert gradient_of(contexts.at, text_query) == 0
    assert gradient_of(contexts.at, text_hidden) > 0
    assert gradient_of(contexts.tt, text_query) > 0
    assert gradient_of(contexts.tt, audio_hidden) == 0
    assert gradient_of(contexts.aa, audio_query) > 0
    assert gradient_of(contexts.aa, text_hidden) == 0


def test_heads_must_divide_the_features():
    with pytest.raises(
        ValueError, match="10 features cannot be divided among 4"
    ):
        CrossAttention(10, heads=4)


def test_loss_is_eqs_13_and_14():
    logits = {name: torch.randn(4, 7) for name in ("joint", "text", "audio")}
    output = EmotionOutput(logits, {"joint": 1.0, "text": 0.1, "audio": 0.1})
    targets = torch.tensor([0, 3, 6, 3])
    loss = total_loss(cross_entropies(output, targets), output.weights)
    for i, target in enumerate(targets.tolist()):
        parts = [
            -torch.log(torch.exp(v[i, target]) / torch.exp(v[i]).sum())
            for v in logits.values()
        ]
        expected = parts[0] + 0.1 * (parts[1] + parts[2])
        torch.testing.assert_close(loss[i], expected)


def test_alpha_0_uses_only_the_joint_prediction():
    model = make("no_align_loss").eval()
    output = model(*as_batch(make_utterances([3, 2])))
    output.logits["text"][0, 0] = float("inf")  # must be ignored
    assert torch.equal(
        decide(output),
        output.logits["joint"].log_softmax(-1).log_softmax(-1),
    )
    targets = torch.tensor([0, 1])
    losses = cross_entropies(model(*as_batch(make_utterances([3, 2]))), targets)
    torch.testing.assert_close(
        total_loss(losses, output.weights), losses["joint"]
    )


def test_decision_is_a_probability():
    model = make("can").eval()
    output = model(*as_batch(make_utterances([3, 2, 5])))
    torch.testing.assert_close(decide(output).exp().sum(-1), torch.ones(3))


def test_attention_record():
    model = make("can").eval()
    attention = model(*as_batch(make_utterances([3]))).attention
    assert isinstance(attention, Attention)
    assert attention._fields == ("text", "audio")
