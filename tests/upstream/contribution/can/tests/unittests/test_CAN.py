"""Compare CAN with its equations in plain loops over utterances, words and steps."""

import pytest
import torch
import torchaudio
from helpers.reference import blstm, can, decision

from speechbrain_can.features.spectral import SegmentMFCC
from speechbrain_can.lobes.attention import CrossAttention
from speechbrain_can.lobes.audio import WordFrameBLSTM
from speechbrain_can.lobes.classifiers import CrossClassifier, EmotionOutput
from speechbrain_can.lobes.losses import cross_entropies, decide, total_loss
from speechbrain_can.lobes.network import EmotionNetwork
from speechbrain_can.lobes.ragged import CPU, GPU, RaggedBLSTM, WordFrames
from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding

WORDS = ["oh", "really", "i", "like", "that", "apple"]


def make_model():
    torch.manual_seed(0)
    model = EmotionNetwork(
        text_encoder=WordBLSTM(WordEmbedding(6), hidden_size=4),
        audio_encoder=WordFrameBLSTM(input_size=5, hidden_size=4),
        fusion=CrossAttention(input_size=8, heads=2),
        classifier=CrossClassifier(input_size=8, n_classes=3),
    )
    model.fit_vocabulary(WORDS)
    return model.eval()


def make_utterance(n_words):
    """Return words, and a list with the frames of each word."""
    torch.manual_seed(n_words)
    lengths = torch.randint(1, 9, (n_words,)).tolist()
    return WORDS[:n_words], [torch.randn(length, 5) for length in lengths]


def as_batch(utterances):
    pieces = [frames for _, words in utterances for frames in words]
    return [words for words, _ in utterances], WordFrames(
        frames=torch.cat(pieces),
        frame_counts=torch.tensor([len(frames) for frames in pieces]),
        word_counts=torch.tensor([len(words) for words, _ in utterances]),
    )


@pytest.mark.parametrize("sizes", [[1], [3], [2, 6, 1], [6, 5]])
def test_model_equals_its_equations(sizes):
    model = make_model()
    utterances = [make_utterance(size) for size in sizes]
    with torch.no_grad():
        output = model(*as_batch(utterances))
        for i, utterance in enumerate(utterances):
            expected = can(model, *utterance)
            for name, logits in expected.items():
                torch.testing.assert_close(output.logits[name][i], logits)
            torch.testing.assert_close(
                decide(output)[i].exp(), decision(expected, output.weights)
            )


@pytest.mark.parametrize("costs", [CPU, GPU])
def test_ragged_blstm_equals_each_sequence(costs):
    lstm = RaggedBLSTM(input_size=3, hidden_size=4)
    counts = torch.tensor([1, 20, 7, 2, 13, 1])
    flat = torch.randn(int(counts.sum()), 3)
    found = lstm(flat, counts, costs).split(counts.tolist())
    for steps, hidden in zip(flat.split(counts.tolist()), found):
        torch.testing.assert_close(
            hidden, torch.stack(blstm(lstm, list(steps)))
        )


def test_mfcc_equal_torchaudio_per_word():
    waveform = torch.randn(16000)
    theirs = torchaudio.transforms.MFCC(
        log_mels=True,
        melkwargs={
            **{"n_fft": 400, "hop_length": 160, "n_mels": 40},
            **{"center": False, "window_fn": torch.hamming_window},
        },
    )
    bounds = torch.tensor([[0, 8000], [7200, 7360], [8000, 16000]])
    frames, counts = SegmentMFCC()(waveform, bounds / 16000)
    for (start, end), found in zip(bounds, frames.split(counts.tolist())):
        word = torch.zeros(max(400, end - start))
        word[: end - start] = waveform[start:end]
        torch.testing.assert_close(found, theirs(word).T, atol=1e-3, rtol=1e-4)


def test_stop_gradient():
    mask = torch.ones(1, 3, dtype=torch.bool)
    text, audio = torch.randn(2, 1, 3, 8)
    for stopped in (True, False):
        attention = CrossAttention(8, heads=2, stop_gradient=stopped)
        contexts, _ = attention(text, audio, mask, mask)
        # only the attention weights could depend on a parameter
        assert contexts.ta.requires_grad is not stopped
        assert contexts.at.requires_grad is not stopped


def test_loss_is_the_weighted_sum_of_three_cross_entropies():
    logits = {name: torch.randn(4, 7) for name in ("joint", "text", "audio")}
    output = EmotionOutput(logits, {"joint": 1.0, "text": 0.1, "audio": 0.1})
    targets = torch.tensor([0, 3, 6, 3])
    joint, text, audio = (
        -values.softmax(1)[range(4), targets].log()
        for values in logits.values()
    )
    torch.testing.assert_close(
        total_loss(cross_entropies(output, targets), output.weights),
        joint + 0.1 * (text + audio),
    )
