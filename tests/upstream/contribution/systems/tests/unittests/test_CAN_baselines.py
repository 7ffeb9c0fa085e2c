"""Compare the baselines with their equations in plain loops."""

import pytest
import torch
from helpers.reference import (
    audio_model,
    learned_alignment,
    multi_hop,
    text_model,
)

from speechbrain_can.lobes.attention import AudioAttention, TextAttention
from speechbrain_can.lobes.audio import UtteranceFrameBLSTM
from speechbrain_can.lobes.classifiers import SingleClassifier
from speechbrain_can.lobes.learned_alignment import (
    LearnedAlignment,
    WordPairClassifier,
)
from speechbrain_can.lobes.multi_hop import MultiHopAttention
from speechbrain_can.lobes.network import EmotionNetwork
from speechbrain_can.lobes.ragged import WordFrames
from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding

WORDS = ["oh", "really", "i", "like", "that", "apple"]


def text_encoder():
    return WordBLSTM(WordEmbedding(6), hidden_size=4)


def audio_encoder():
    return UtteranceFrameBLSTM(input_size=5, hidden_size=4)


def single(size):
    return SingleClassifier(size, n_classes=3)


# Each system's parts, and what it is of one utterance
SYSTEMS = {
    "TextModel": (
        lambda: (text_encoder(), None, TextAttention(8), single(8)),
        text_model,
    ),
    "AudioModel": (
        lambda: (None, audio_encoder(), AudioAttention(8), single(8)),
        audio_model,
    ),
    **{
        f"multi-hop attention, {hops}": (
            lambda hops=hops: (
                text_encoder(),
                audio_encoder(),
                MultiHopAttention(8, hops),
                single(16),
            ),
            multi_hop,
        )
        for hops in (1, 2, 3)
    },
    "learnt alignment": (
        lambda: (
            text_encoder(),
            audio_encoder(),
            LearnedAlignment(8),
            WordPairClassifier(16, n_classes=3, hidden_size=4),
        ),
        learned_alignment,
    ),
}


def make_utterance(n_words):
    """Return words, and the frames of the whole utterance."""
    torch.manual_seed(n_words)
    return WORDS[:n_words], [torch.randn(5 + 4 * n_words, 5)]


@pytest.mark.parametrize("sizes", [[1], [2, 6, 1]])
@pytest.mark.parametrize("name", SYSTEMS)
def test_model_equals_its_equations(name, sizes):
    make_parts, of_one = SYSTEMS[name]
    torch.manual_seed(0)
    model = EmotionNetwork(*make_parts()).eval()
    model.fit_vocabulary(WORDS)
    utterances = [make_utterance(size) for size in sizes]
    frames = [frames for _, (frames,) in utterances]
    audio = WordFrames(
        frames=torch.cat(frames),
        frame_counts=torch.tensor(list(map(len, frames))),
        word_counts=torch.ones(len(frames), dtype=torch.long),
    )
    with torch.no_grad():
        output = model([words for words, _ in utterances], audio)
        for i, utterance in enumerate(utterances):
            torch.testing.assert_close(
                output.logits["joint"][i], of_one(model, *utterance)["joint"]
            )
