"""Baselines of the Cross Attention Network, as parts for its network.

Lee, Yoon, Jung (https://arxiv.org/abs/2207.12895) compare CAN with TextModel and
AudioModel (Mirsamadi et al., 2017), multi-hop attention (Yoon et al., 2019) and learned
alignment (Xu et al., 2019). Layer sizes are those of Lee et al.; structures are those of
the original publications.

Authors
 * The speechbrain-can developers 2026
"""

from speechbrain_can.features.segments import whole_utterance
from speechbrain_can.lobes.attention import AudioAttention, TextAttention
from speechbrain_can.lobes.audio import UtteranceFrameBLSTM
from speechbrain_can.lobes.classifiers import SingleClassifier
from speechbrain_can.lobes.learned_alignment import (
    LearnedAlignment,
    WordPairClassifier,
)
from speechbrain_can.lobes.multi_hop import MultiHopAttention
