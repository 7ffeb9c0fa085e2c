"""Cross Attention Network (CAN): emotion recognition from word-aligned audio and text.

Lee, Yoon, Jung, "Multimodal Speech Emotion Recognition Using Cross Attention with
Aligned Audio and Text", Interspeech 2020, https://arxiv.org/abs/2207.12895. The
equation numbers in docstrings are those of the paper.

Words and frames are ragged in two dimensions. In a padded tensor ``[batch, words, frames,
features]``, nine tenths would be padding. Here, the frames of all words are concatenated,
``[frames, features]``, with the number of frames of each word.

Authors
 * The speechbrain-can developers 2026
"""

# Definitions follow in this order.
# isort: off
from speechbrain_can.lobes.ragged import RaggedBLSTM, WordFrames
from speechbrain_can.features.segments import aligned_segments, equal_segments
from speechbrain_can.features.spectral import SegmentMFCC
from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding
from speechbrain_can.lobes.audio import WordFrameBLSTM
from speechbrain_can.lobes.attention import CrossAttention
from speechbrain_can.lobes.classifiers import (
    CrossClassifier,
    UncrossedClassifier,
)
from speechbrain_can.lobes.losses import cross_entropies, decide, total_loss
from speechbrain_can.lobes.network import EmotionNetwork
