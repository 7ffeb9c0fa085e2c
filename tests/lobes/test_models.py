"""Properties of all models: CAN, its ablations, and the systems it is compared with."""

import pytest
import torch
from helpers import reference
from helpers.networks import (
    FULL,
    MODELS,
    SMALL,
    WORDS,
    as_batch,
    assert_same_logits,
    make,
    make_utterances,
)

from speechbrain_can.lobes.attention import (
    AudioAttention,
    CrossAttention,
    TextAttention,
    word_attention,
)
from speechbrain_can.lobes.learned_alignment import LearnedAlignment
from speechbrain_can.lobes.losses import cross_entropies, decide, total_loss
from speechbrain_can.lobes.multi_hop import MultiHopAttention
from speechbrain_can.lobes.ragged import (
    final_states,
    real_steps,
    utterance_frame_counts,
)

pytestmark = pytest.mark.training

every_model = pytest.mark.parametrize("name", MODELS)


@every_model
def test_the_equations_one_step_at_a_time(name):
    model = make(name).eval()
    utterances = make_utterances([3, 1, 7, 2])
    output = model(*as_batch(utterances))
    for i, (words, frames) in enumerate(utterances):
        expected = MODELS[name][1](model, words, frames)
        assert_same_logits(
            {key: logits[i] for key, logits in output.logits.items()}, expected
        )
        torch.testing.assert_close(
            decide(output)[i].exp(),
            reference.decision(expected, output.weights),
            atol=1e-5,
            rtol=1e-5,
        )


@every_model
@pytest.mark.parametrize("sizes", [SMALL, FULL], ids=["small", "full"])
def test_utterances_do_not_depend_on_the_batch(name, sizes):
    """Alone, in a batch, in a different order, and with padding."""
    model = make(name, sizes).eval()
    utterances = make_utterances([4, 1, 12, 120, 2], sizes[1])
    together = model(*as_batch(utterances)).logits
    backwards = model(*as_batch(utterances[::-1])).logits
    assert_same_logits(
        together, {key: v.flip(0) for key, v in backwards.items()}
    )
    for i, utterance in enumerate(utterances):
        alone = model(*as_batch([utterance])).logits
        assert_same_logits(
            {key: v[i : i + 1] for key, v in together.items()}, alone
        )


@every_model
def test_gradients_stay_within_an_utterance(name):
    model = make(name).eval()
    words, audio = as_batch(make_utterances([4, 2, 6]))
    audio.frames.requires_grad_()
    output = model(words, audio)
    first = sum(logits[0].sum() for logits in output.logits.values())
    (gradient,) = torch.autograd.grad(first, audio.frames, allow_unused=True)
    if name == "text_model":
        assert gradient is None
        return
    n_first = int(utterance_frame_counts(audio)[0])
    assert gradient[:n_first].abs().sum() > 0
    assert gradient[n_first:].abs().max() == 0


@every_model
def test_parameter_count_of_the_card(name):
    model = make(name, FULL)
    count = sum(parameter.numel() for parameter in model.parameters())
    vocabulary = 0 if name == "audio_model" else 300 * (len(WORDS) + 1)
    assert count == vocabulary + MODELS[name][2]


@every_model
def test_every_parameter_learns(name):
    model = make(name)
    output = model(*as_batch(make_utterances([5, 3, 8])))
    losses = cross_entropies(output, torch.tensor([0, 1, 2]))
    total_loss(losses, output.weights).mean().backward()
    idle = {
        parameter
        for parameter, value in model.named_parameters()
        if value.grad is None or not value.grad.any()
    }
    expected = set()
    if name == "no_align_loss":
        expected = {
            f"classifier.{modality}.{part}"
            for modality in ("text", "audio")
            for part in ("weight", "bias")
        }
    assert idle == expected


@every_model
def test_dropout_is_the_last_thing_every_encoder_does(name):
    """With a dropout of 1, only biases remain; evaluation is not affected."""
    model = make(name, dropout=1.0).train()
    calls = {}
    for path, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout):
            module.register_forward_hook(
                lambda *_, path=path: calls.update(
                    {path: calls.get(path, 0) + 1}
                )
            )
    batch = as_batch(make_utterances([3, 2]))
    logits = model(*batch).logits
    # word encoders of audio also apply dropout to the means of words (section 3.2)
    frames_in_words = name in ("can", "no_cross_attention") or "no_" in name
    expected = {
        "text_encoder.dropout": 1,
        "audio_encoder.dropout": 1 + frames_in_words,
    }
    if name == "text_model":
        del expected["audio_encoder.dropout"]
    if name == "audio_model":
        del expected["text_encoder.dropout"]
    if name == "learned_alignment":
        expected["classifier.dropout"] = 1
    assert calls == expected
    if name == "learned_alignment":
        head = model.classifier
        biases = {"joint": head.linear(torch.relu(head.dense.bias))}
    else:
        biases = {key: getattr(model.classifier, key).bias for key in logits}
    for key, bias in biases.items():
        torch.testing.assert_close(logits[key], bias.expand(2, -1))
    first, second = (model.eval()(*batch).logits for _ in range(2))
    assert_same_logits(first, second)
    assert not torch.allclose(first["joint"], logits["joint"])


@every_model
def test_overfits_eight_utterances(name):
    model = make(name, dropout=0.0)
    words, audio = as_batch(make_utterances([3, 5, 2, 7, 4, 4, 6, 1]))
    targets = torch.tensor([0, 1, 2, 3, 4, 5, 6, 0])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(120):
        output = model(words, audio)
        loss = total_loss(cross_entropies(output, targets), output.weights)
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    assert torch.equal(decide(model(words, audio)).argmax(-1), targets)


def test_gradients_without_stop_gradient():
    """c^(TA) has a gradient with respect to the text query only without stop-gradient."""
    text, audio = torch.randn(2, 2, 3, 8, requires_grad=True)
    mask = torch.ones(2, 3, dtype=torch.bool)
    for stop_gradient in (True, False):
        fusion = CrossAttention(8, 4, stop_gradient)
        contexts, _ = fusion(text, audio, mask, mask)
        for context, query, hidden in (
            (contexts.ta, fusion.text_attention.query, text),
            (contexts.at, fusion.audio_attention.query, audio),
        ):
            gradients = torch.autograd.grad(
                context.sum(),
                (query, hidden),
                retain_graph=True,
                allow_unused=True,
            )
            for gradient in gradients:
                reached = gradient is not None and bool(gradient.any())
                assert reached is not stop_gradient


FUSIONS = {
    "cross": (CrossAttention(8, heads=4), True),
    "text": (TextAttention(8, heads=2), False),
    "audio": (AudioAttention(8, heads=2), False),
    "hops": (MultiHopAttention(8), False),
    "alignment": (LearnedAlignment(8), False),
}


@pytest.mark.parametrize("name", FUSIONS)
def test_the_contract_of_fusions(name):
    """Contexts and attention do not depend on padding."""
    fusion, same_steps = FUSIONS[name]
    words = torch.tensor([3, 5])
    frames = words if same_steps else torch.tensor([9, 4])
    text, audio = torch.randn(2, 5, 8), torch.randn(2, int(frames.max()), 8)
    masks = real_steps(words), real_steps(frames)
    contexts, attention = fusion(text, audio, *masks)
    for i in range(2):
        alone, attention_alone = fusion(
            text[i : i + 1, : words[i]],
            audio[i : i + 1, : frames[i]],
            *(mask[i : i + 1, : mask[i].sum()] for mask in masks),
        )
        for together, one in zip(as_tensors(contexts), as_tensors(alone)):
            if together.dim() == 3:  # one vector per word
                together = together[:, : words[i]]
            torch.testing.assert_close(together[i], one[0])
        if attention is not None:
            assert (
                word_attention(attention, words)[i]
                == [
                    {key: pytest.approx(value) for key, value in found.items()}
                    for found in word_attention(
                        attention_alone, words[i : i + 1]
                    )
                ].pop()
            )
    # arbitrary values in the padding
    for hidden, mask in zip((text, audio), masks):
        hidden[~mask] = 1e6
    changed, _ = fusion(text, audio, *masks)
    for before, after in zip(as_tensors(contexts), as_tensors(changed)):
        if before.dim() == 3:
            before, after = before[masks[0]], after[masks[0]]
        torch.testing.assert_close(before, after)


def as_tensors(contexts):
    """Return the tensors of a tensor or record."""
    parts = [contexts] if isinstance(contexts, torch.Tensor) else contexts
    return [part.float() for part in parts if part.dtype != torch.bool]


def test_final_states_skip_the_padding():
    hidden = torch.randn(3, 5, 8)
    counts = torch.tensor([5, 1, 3])
    states = final_states(hidden, counts)
    for i, count in enumerate(counts.tolist()):
        assert torch.equal(states[i, :4], hidden[i, count - 1, :4])
        assert torch.equal(states[i, 4:], hidden[i, 0, 4:])


def test_hops():
    with pytest.raises(ValueError, match="hops must be 1, 2 or 3"):
        MultiHopAttention(8, hops=4)
