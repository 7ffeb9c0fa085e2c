"""The network: every system is four parts, named in YAML."""

import torch

from speechbrain_can.lobes.ragged import count_words, real_steps


class EmotionNetwork(torch.nn.Module):
    """Text and audio encoded, fused and classified.

    With the paper's parts, 7 classes and V words in the vocabulary CAN (Lee,
    Yoon, Jung, Interspeech 2020) has ``300 V + 1,020,949`` parameters.

    Arguments
    ---------
    text_encoder : torch.nn.Module or None
        From lists of words to ``[batch, words, features]``; None for a system
        that does not read.
    audio_encoder : torch.nn.Module or None
        From ``WordFrames`` to ``[batch, steps, features]``, with
        ``step_counts``; None for a system that does not hear.
    fusion : torch.nn.Module
        From both encodings and their masks to contexts and attention.
    classifier : torch.nn.Module
        From contexts to an ``EmotionOutput``.

    Example
    -------
    >>> from speechbrain_can.lobes.attention import CrossAttention
    >>> from speechbrain_can.lobes.audio import WordFrameBLSTM
    >>> from speechbrain_can.lobes.classifiers import CrossClassifier
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding
    >>> model = EmotionNetwork(
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

    def __init__(self, text_encoder, audio_encoder, fusion, classifier):
        super().__init__()
        self.text_encoder = text_encoder
        self.audio_encoder = audio_encoder
        self.fusion = fusion
        self.classifier = classifier

    def fit_vocabulary(self, train_words, other_words=()):
        """See ``WordEmbedding.fit_vocabulary``."""
        if self.text_encoder is not None:
            self.text_encoder.fit_vocabulary(train_words, other_words)

    def forward(self, words, audio):
        """Predicts the emotions of a batch.

        Arguments
        ---------
        words : list of list of str
            The words of each utterance.
        audio : WordFrames
            The frames of the same utterances.

        Returns
        -------
        EmotionOutput
            Logits, their weights and the attention.
        """
        text = text_mask = hidden = audio_mask = None
        if self.text_encoder is not None:
            text = self.text_encoder(words)
            text_mask = real_steps(count_words(words, text.device))
        if self.audio_encoder is not None:
            hidden = self.audio_encoder(audio)
            audio_mask = real_steps(self.audio_encoder.step_counts(audio))
        contexts, attention = self.fusion(text, hidden, text_mask, audio_mask)
        output = self.classifier(contexts)
        output.attention = attention
        return output


class StoredTextNetwork(EmotionNetwork):
    """A network whose text vectors stand in the frames, one frame a word.

    They come before the audio's features; ``SegmentWhisper`` stores them so.

    Arguments
    ---------
    text_size : int
        Features of a text vector.
    text_encoder : torch.nn.Module
        Of the same kind as ``audio_encoder``: both take ``WordFrames``.
    audio_encoder, fusion, classifier : torch.nn.Module
        As for ``EmotionNetwork``.

    Example
    -------
    >>> from speechbrain_can.lobes.attention import CrossAttention
    >>> from speechbrain_can.lobes.audio import FramesAsStored, WordEncoder
    >>> from speechbrain_can.lobes.classifiers import CrossClassifier
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> model = StoredTextNetwork(
    ...     text_size=12,
    ...     text_encoder=WordEncoder(FramesAsStored(12)),
    ...     audio_encoder=WordEncoder(FramesAsStored(20)),
    ...     fusion=CrossAttention(input_size=256),
    ...     classifier=CrossClassifier(input_size=256, n_classes=7),
    ... )
    >>> audio = WordFrames(
    ...     frames=torch.randn(3, 32),
    ...     frame_counts=torch.tensor([1, 1, 1]),
    ...     word_counts=torch.tensor([2, 1]),
    ... )
    >>> model([["oh", "really"], ["yes"]], audio).logits["joint"].shape
    torch.Size([2, 7])
    """

    def __init__(
        self, text_size, text_encoder, audio_encoder, fusion, classifier
    ):
        super().__init__(text_encoder, audio_encoder, fusion, classifier)
        self.text_size = text_size

    def fit_vocabulary(self, train_words, other_words=()):
        """Nothing is learnt: text is as the store has it."""

    def forward(self, words, audio):
        """Predicts the emotions of a batch.

        Arguments
        ---------
        words : list of list of str
            Not read; their vectors are in the frames.
        audio : WordFrames
            Text vector and audio features of each word.

        Returns
        -------
        EmotionOutput
            Logits, their weights and the attention.
        """
        text = audio._replace(frames=audio.frames[:, : self.text_size])
        audio = audio._replace(frames=audio.frames[:, self.text_size :])
        mask = real_steps(audio.word_counts)
        contexts, attention = self.fusion(
            self.text_encoder(text), self.audio_encoder(audio), mask, mask
        )
        output = self.classifier(contexts)
        output.attention = attention
        return output
