import pytest
import reference
import torch

from speechbrain_can.lobes.attention import (
    Attention,
    CrossAttention,
    GlobalAttention,
    attend,
)
from speechbrain_can.lobes.audio import WordFrameBLSTM
from speechbrain_can.lobes.can import (
    CrossAttentionNetwork,
    CrossClassifier,
    EmotionOutput,
)
from speechbrain_can.lobes.ragged import WordFrames
from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding
from speechbrain_can.losses import cross_entropies, decide, total_loss

WORDS = [f"w{i}" for i in range(30)]


def make_model(small=True, align_weight=0.1, dropout=0.3):
    """CAN of the paper's sizes, or a small one for the slow reference."""
    size, features, hidden = (6, 5, 8) if small else (300, 40, 128)
    model = CrossAttentionNetwork(
        WordBLSTM(WordEmbedding(size), hidden, dropout),
        WordFrameBLSTM(features, hidden, dropout),
        CrossAttention(2 * hidden, heads=4),
        CrossClassifier(2 * hidden, n_classes=7, align_weight=align_weight),
    )
    model.fit_vocabulary(WORDS)
    # Far enough from uniform for a wrong weight to show.
    for attention in (
        model.fusion.text_attention,
        model.fusion.audio_attention,
    ):
        torch.nn.init.normal_(attention.query, std=3.0)
    return model


def make_utterances(word_counts, features=5, longest=9):
    """Pairs of words and the frames of each."""
    utterances = []
    for count in word_counts:
        words = [WORDS[i] for i in torch.randint(len(WORDS), (count,))]
        lengths = torch.randint(1, longest + 1, (count,)).tolist()
        utterances.append((words, [torch.randn(n, features) for n in lengths]))
    return utterances


def as_batch(utterances):
    words = [words for words, _ in utterances]
    frames = [piece for _, pieces in utterances for piece in pieces]
    return words, WordFrames(
        torch.cat(frames),
        torch.tensor([len(piece) for piece in frames]),
        torch.tensor([len(w) for w in words]),
    )


def assert_same_logits(left, right):
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(
            left[name], right[name], atol=1e-5, rtol=1e-5
        )


def test_the_equations_one_step_at_a_time():
    model = make_model().eval()
    utterances = make_utterances([3, 1, 7, 2])
    output = model(*as_batch(utterances))
    for i, (words, frames) in enumerate(utterances):
        expected = reference.can(model, words, frames)
        assert_same_logits(
            {name: logits[i] for name, logits in output.logits.items()},
            expected,
        )
        probabilities = decide(output)[i].exp()
        torch.testing.assert_close(
            probabilities,
            reference.decision(expected, output.weights),
            atol=1e-5,
            rtol=1e-5,
        )


@pytest.mark.parametrize("small", [True, False])
def test_an_utterance_does_not_depend_on_its_batch(small):
    model = make_model(small).eval()
    features = 5 if small else 40
    utterances = make_utterances([4, 1, 12, 120, 2], features)
    together = model(*as_batch(utterances)).logits
    backwards = model(*as_batch(utterances[::-1])).logits
    assert_same_logits(
        together, {name: v.flip(0) for name, v in backwards.items()}
    )
    for i, utterance in enumerate(utterances):
        alone = model(*as_batch([utterance])).logits
        assert_same_logits(
            {name: v[i : i + 1] for name, v in together.items()}, alone
        )


def test_padding_is_never_attended():
    model = make_model().eval()
    utterances = make_utterances([2, 9])
    attention = model(*as_batch(utterances)).attention
    for weights in attention:
        assert weights.shape == (2, 9, 4)
        torch.testing.assert_close(weights.sum(1), torch.ones(2, 4))
        assert (weights[0, 2:] == 0).all()


def test_padding_values_do_not_reach_the_contexts():
    fusion = CrossAttention(8, heads=4)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    text, audio = torch.randn(2, 2, 3, 8)
    contexts, _ = fusion(text, audio, mask)
    text[0, 2], audio[0, 2] = 1e6, -1e6
    changed, _ = fusion(text, audio, mask)
    torch.testing.assert_close(contexts, changed)


def test_one_word_gets_all_the_attention():
    model = make_model().eval()
    attention = model(*as_batch(make_utterances([1]))).attention
    for weights in attention:
        torch.testing.assert_close(weights, torch.ones(1, 1, 4))


def gradient_of(value, parameter):
    (gradient,) = torch.autograd.grad(
        value.sum(), parameter, retain_graph=True, allow_unused=True
    )
    return 0.0 if gradient is None else gradient.abs().max().item()


def test_the_stop_gradient_cuts_where_the_equations_say():
    model = make_model().eval()
    words, audio = as_batch(make_utterances([5, 3]))
    text_hidden = model.text_encoder(words)
    audio_hidden = model.audio_encoder(audio)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    contexts, _ = model.fusion(text_hidden, audio_hidden, mask)
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


def test_without_the_stop_gradient_the_test_above_would_fail():
    text, audio = torch.randn(2, 2, 3, 8, requires_grad=True)
    attention = GlobalAttention(8, heads=4)
    mask = torch.ones(2, 3, dtype=torch.bool)
    context = attend(attention(text, mask), audio)
    assert gradient_of(context, attention.query) > 0
    assert gradient_of(context, text) > 0


def test_heads_must_divide_the_features():
    with pytest.raises(ValueError, match="10 features cannot be cut into 4"):
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


def test_with_alpha_0_joint_decides_alone():
    model = make_model(align_weight=0).eval()
    output = model(*as_batch(make_utterances([3, 2])))
    output.logits["text"][0, 0] = float("inf")  # has no say whatever it is
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
    model = make_model().eval()
    output = model(*as_batch(make_utterances([3, 2, 5])))
    torch.testing.assert_close(decide(output).exp().sum(-1), torch.ones(3))


def test_parameters_are_as_many_as_stated():
    def count(module):
        return sum(p.numel() for p in module.parameters())

    model = make_model(small=False)
    vocabulary = len(WORDS) + 1
    assert count(model.text_encoder) == 300 * vocabulary + 440_320
    assert count(model.audio_encoder) == 569_344
    assert count(model.fusion) == 512
    assert count(model.classifier) == 10_773
    assert count(model) == 300 * vocabulary + 1_020_949


def test_every_parameter_learns():
    model = make_model()
    output = model(*as_batch(make_utterances([5, 3, 8])))
    losses = cross_entropies(output, torch.tensor([0, 1, 2]))
    total_loss(losses, output.weights).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


def test_it_learns_eight_utterances_by_heart():
    model = make_model(dropout=0.0)
    words, audio = as_batch(make_utterances([3, 5, 2, 7, 4, 4, 6, 1]))
    targets = torch.tensor([0, 1, 2, 3, 4, 5, 6, 0])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(80):
        output = model(words, audio)
        loss = total_loss(cross_entropies(output, targets), output.weights)
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    assert torch.equal(decide(model(words, audio)).argmax(-1), targets)


def test_the_attention_is_a_small_record():
    model = make_model().eval()
    attention = model(*as_batch(make_utterances([3]))).attention
    assert isinstance(attention, Attention)
    assert attention._fields == ("text", "audio")
