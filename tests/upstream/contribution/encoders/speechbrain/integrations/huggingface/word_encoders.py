"""Pretrained encoders of whole utterances, pooled to words.

Parts for the Cross Attention Network (``speechbrain.lobes.models.CAN``): a frame encoder of
the samples of words, and word vectors pooled over subwords.

Authors
 * The speechbrain-can developers 2026
"""

from speechbrain_can.encoders.speech import PretrainedFrames
from speechbrain_can.encoders.text import PretrainedWords
from speechbrain_can.features.samples import SegmentSamples
from speechbrain_can.lobes.audio import WordEncoder
