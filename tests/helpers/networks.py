"""Small models of the paper and batches for them."""

import torch
from helpers import reference

from speechbrain_can.lobes.attention import (
    AudioAttention,
    CrossAttention,
    GlobalAttention,
    TextAttention,
)
from speechbrain_can.lobes.audio import UtteranceFrameBLSTM, WordFrameBLSTM
from speechbrain_can.lobes.classifiers import (
    CrossClassifier,
    SingleClassifier,
    UncrossedClassifier,
)
from speechbrain_can.lobes.learned_alignment import (
    LearnedAlignment,
    WordPairClassifier,
)
from speechbrain_can.lobes.multi_hop import MultiHopAttention
from speechbrain_can.lobes.network import EmotionNetwork
from speechbrain_can.lobes.ragged import WordFrames
from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding

WORDS = [f"w{i}" for i in range(30)]


SMALL, FULL = (6, 5, 8), (300, 40, 128)


def text_encoder(sizes, dropout):
    return WordBLSTM(WordEmbedding(sizes[0]), sizes[2], dropout)


def frame_encoder(sizes, dropout):
    return UtteranceFrameBLSTM(sizes[1], sizes[2], dropout)


def can(sizes, dropout, stop_gradient=True, align_weight=0.1, crossed=True):
    features = 2 * sizes[2]
    return EmotionNetwork(
        text_encoder(sizes, dropout),
        WordFrameBLSTM(sizes[1], sizes[2], dropout),
        CrossAttention(features, 4, stop_gradient),
        CrossClassifier(features, 7, align_weight)
        if crossed
        else UncrossedClassifier(features, 7),
    )


def text_model(sizes, dropout):
    return EmotionNetwork(
        text_encoder(sizes, dropout),
        None,
        TextAttention(2 * sizes[2], heads=1),
        SingleClassifier(2 * sizes[2], 7),
    )


def audio_model(sizes, dropout):
    return EmotionNetwork(
        None,
        frame_encoder(sizes, dropout),
        AudioAttention(2 * sizes[2], heads=1),
        SingleClassifier(2 * sizes[2], 7),
    )


def multi_hop(sizes, dropout, hops=3):
    return EmotionNetwork(
        text_encoder(sizes, dropout),
        frame_encoder(sizes, dropout),
        MultiHopAttention(2 * sizes[2], hops),
        SingleClassifier(4 * sizes[2], 7),
    )


def learned_alignment(sizes, dropout):
    return EmotionNetwork(
        text_encoder(sizes, dropout),
        frame_encoder(sizes, dropout),
        LearnedAlignment(2 * sizes[2]),
        WordPairClassifier(4 * sizes[2], sizes[2], 7, dropout),
    )


# name: (constructor, reference with loops, parameters without the 300 V embeddings)
MODELS = {
    "can": (can, reference.can, 1_020_949),
    "no_stop_gradient": (
        lambda s, d: can(s, d, stop_gradient=False),
        reference.can,
        1_020_949,
    ),
    "no_align_loss": (
        lambda s, d: can(s, d, align_weight=0),
        reference.can,
        1_020_949,
    ),
    "no_cross_attention": (
        lambda s, d: can(s, d, crossed=False),
        reference.uncrossed,
        1_013_767,
    ),
    "text_model": (text_model, reference.text_model, 442_375),
    "audio_model": (audio_model, reference.audio_model, 176_135),
    "multi_hop_1": (
        lambda s, d: multi_hop(s, d, 1),
        reference.multi_hop,
        683_783,
    ),
    "multi_hop_2": (
        lambda s, d: multi_hop(s, d, 2),
        reference.multi_hop,
        749_575,
    ),
    "multi_hop_3": (multi_hop, reference.multi_hop, 815_367),
    "learned_alignment": (
        learned_alignment,
        reference.learned_alignment,
        1_339_912,
    ),
}


def make(name, sizes=SMALL, dropout=0.3):
    model = MODELS[name][0](sizes, dropout)
    model.fit_vocabulary(WORDS)
    # Far from uniform, to reveal wrong weights.
    for module in model.modules():
        if isinstance(module, GlobalAttention):
            torch.nn.init.normal_(module.query, std=3.0)
        if isinstance(module, (MultiHopAttention, LearnedAlignment)):
            for parameter in module.parameters():
                torch.nn.init.normal_(parameter, std=2.0)
    return model


def make_utterances(word_counts, features=5, longest=9):
    """Return pairs of words and the frames of each word."""
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
