"""The Cross Attention Network, from its four parts.

Authors
 * The speechbrain-can developers 2026
"""

from speechbrain_can.lobes.bimodal import BimodalNetwork
from speechbrain_can.lobes.ragged import real_steps


class CrossAttentionNetwork(BimodalNetwork):
    """CAN (Lee, Yoon, Jung, Interspeech 2020).

    With the paper's parts, 7 classes and V words in the vocabulary it has
    ``300 V + 1,020,949`` parameters.

    Arguments
    ---------
    text_encoder : torch.nn.Module
        From lists of words to ``[batch, words, features]``.
    audio_encoder : torch.nn.Module
        From ``WordFrames`` to ``[batch, words, features]``.
    fusion : torch.nn.Module
        From both encodings and a mask to contexts and attention.
    classifier : torch.nn.Module
        From contexts to an ``EmotionOutput``.

    Example
    -------
    >>> import torch
    >>> from speechbrain_can.lobes.attention import CrossAttention
    >>> from speechbrain_can.lobes.audio import WordFrameBLSTM
    >>> from speechbrain_can.lobes.classifiers import CrossClassifier
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding
    >>> model = CrossAttentionNetwork(
    ...     text_encoder=WordBLSTM(WordEmbedding(300)),
    ...     audio_encoder=WordFrameBLSTM(),
    ...     fusion=CrossAttention(input_size=256),
    ...     classifier=CrossClassifier(input_size=256, n_classes=7),
    ... )
    >>> audio = WordFrames(
    ...     frames=torch.randn(9, 40),
    ...     frame_counts=torch.tensor([4, 2, 3]),
    ...     word_counts=torch.tensor([2, 1]),
    ... )
    >>> output = model([["oh", "really"], ["yes"]], audio)
    >>> output.logits["joint"].shape, output.attention.audio.shape
    (torch.Size([2, 7]), torch.Size([2, 2, 4]))
    """

    def forward(self, words, audio):
        """Predicts the emotions of a batch.

        Arguments
        ---------
        words : list of list of str
            The words of each utterance.
        audio : WordFrames
            The frames of the same words.

        Returns
        -------
        EmotionOutput
            Logits, their weights and the attention.
        """
        contexts, attention = self.fusion(
            self.text_encoder(words),
            self.audio_encoder(audio),
            real_steps(audio.word_counts),
        )
        output = self.classifier(contexts)
        output.attention = attention
        return output
