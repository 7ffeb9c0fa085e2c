"""The network: four parts that each YAML file defines."""

import math
from typing import Iterable, List, Optional, Sequence

import torch

from speechbrain_can.lobes.attention import Attention
from speechbrain_can.lobes.classifiers import EmotionOutput
from speechbrain_can.lobes.dimensions import DimensionOutput
from speechbrain_can.lobes.losses import decide
from speechbrain_can.lobes.ragged import WordFrames, count_words, real_steps


class EmotionNetwork(torch.nn.Module):
    """Network of text encoder, audio encoder, fusion and classifier.

    With the parts of the paper, 7 classes and a vocabulary of V words, CAN (Lee,
    Yoon, Jung, Interspeech 2020) has ``300 V + 1,020,949`` parameters.

    Arguments
    ---------
    text_encoder : torch.nn.Module or None
        Maps lists of words to ``[batch, words, features]``; None for systems
        without text.
    audio_encoder : torch.nn.Module or None
        Maps ``WordFrames`` to ``[batch, steps, features]`` and has a method
        ``step_counts``; None for systems without audio.
    fusion : torch.nn.Module
        Maps both encodings and their masks to contexts and attention.
    classifier : torch.nn.Module
        Maps contexts to an ``EmotionOutput``.

    Example
    -------
    >>> from speechbrain_can.lobes.attention import CrossAttention
    >>> from speechbrain_can.lobes.audio import WordFrameBLSTM
    >>> from speechbrain_can.lobes.classifiers import CrossClassifier
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

    def __init__(
        self,
        text_encoder: Optional[torch.nn.Module],
        audio_encoder: Optional[torch.nn.Module],
        fusion: torch.nn.Module,
        classifier: torch.nn.Module,
    ):
        super().__init__()
        self.text_encoder = text_encoder
        self.audio_encoder = audio_encoder
        self.fusion = fusion
        self.classifier = classifier

    def fit_vocabulary(
        self, train_words: Iterable[str], other_words: Iterable[str] = ()
    ) -> None:
        """Set the vocabulary of the text encoder; see ``WordEmbedding``."""
        if self.text_encoder is not None:
            self.text_encoder.fit_vocabulary(train_words, other_words)

    def forward(
        self, words: Sequence[Sequence[str]], audio: WordFrames
    ) -> EmotionOutput:
        """Predict the emotions of a batch from words and frames."""
        text = text_mask = hidden = audio_mask = None
        if self.text_encoder is not None:
            text = self.text_encoder(words)
            text_mask = real_steps(count_words(words), text.device)
        if self.audio_encoder is not None:
            hidden = self.audio_encoder(audio)
            counts = self.audio_encoder.step_counts(audio)
            audio_mask = real_steps(counts, hidden.device)
        contexts, attention = self.fusion(text, hidden, text_mask, audio_mask)
        output = self.classifier(contexts)
        output.attention = attention
        return output


class StoredTextNetwork(EmotionNetwork):
    """``EmotionNetwork`` whose text vectors are part of the cached frames.

    There is one frame per word, in which the text vector precedes the audio features,
    as ``SegmentWhisper`` stores them.

    Arguments
    ---------
    text_size : int
        Features of a text vector.
    text_encoder : torch.nn.Module
        Maps ``WordFrames`` to ``[batch, words, features]``, like
        ``audio_encoder``.
    audio_encoder, fusion, classifier : torch.nn.Module
        See ``EmotionNetwork``.

    Example
    -------
    >>> from speechbrain_can.lobes.attention import CrossAttention
    >>> from speechbrain_can.lobes.audio import FramesAsStored, WordEncoder
    >>> from speechbrain_can.lobes.classifiers import CrossClassifier
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
        self,
        text_size: int,
        text_encoder: torch.nn.Module,
        audio_encoder: torch.nn.Module,
        fusion: torch.nn.Module,
        classifier: torch.nn.Module,
    ):
        super().__init__(text_encoder, audio_encoder, fusion, classifier)
        self.text_size = text_size

    def fit_vocabulary(
        self, train_words: Iterable[str], other_words: Iterable[str] = ()
    ) -> None:
        """Do nothing; text vectors are cached."""

    def forward(
        self, words: Sequence[Sequence[str]], audio: WordFrames
    ) -> EmotionOutput:
        """Predict the emotions of a batch; ``words`` are ignored."""
        text = audio._replace(frames=audio.frames[:, : self.text_size])
        audio = audio._replace(frames=audio.frames[:, self.text_size :])
        mask = real_steps(audio.word_counts, text.frames.device)
        contexts, attention = self.fusion(
            self.text_encoder(text), self.audio_encoder(audio), mask, mask
        )
        output = self.classifier(contexts)
        output.attention = attention
        return output


JOINT = "joint"


class Ensemble(torch.nn.Module):
    """Mean of the predictions of several networks, such as those of several seeds.

    The joint prediction is the mean of the probabilities that the members decide for
    (eq. 15). Other predictions and the attention are means too, and have no weight in
    the decision.

    Arguments
    ---------
    members : list of torch.nn.Module
        Networks with the same classes and heads.

    Example
    -------
    >>> from speechbrain_can.lobes.classifiers import single_output
    >>> class Constant(torch.nn.Module):
    ...     def __init__(self, share):
    ...         super().__init__()
    ...         self.share = share
    ...
    ...     def forward(self, words, audio):
    ...         return single_output(self.share.log())
    >>> members = [
    ...     Constant(torch.tensor([[0.9, 0.1]])),
    ...     Constant(torch.tensor([[0.5, 0.5]])),
    ... ]
    >>> Ensemble(members)([["oh"]], None).logits["joint"].exp()
    tensor([[0.7000, 0.3000]])
    """

    def __init__(self, members: List[torch.nn.Module]):
        super().__init__()
        self.members = torch.nn.ModuleList(members)

    def fit_vocabulary(
        self, train_words: Iterable[str], other_words: Iterable[str] = ()
    ) -> None:
        """Set the vocabulary of all members."""
        train_words, other_words = list(train_words), list(other_words)
        for member in self.members:
            member.fit_vocabulary(train_words, other_words)

    def forward(
        self, words: Sequence[Sequence[str]], audio: WordFrames
    ) -> EmotionOutput:
        """Predict the emotions of a batch; see ``EmotionNetwork``."""
        outputs = [member(words, audio) for member in self.members]
        logits = {JOINT: _mean_of([decide(output) for output in outputs])}
        for name in outputs[0].logits:
            if name != JOINT:
                found = [output.logits[name] for output in outputs]
                logits[name] = _mean_of([own.log_softmax(1) for own in found])
        weights = {name: float(name == JOINT) for name in logits}
        attention = [output.attention for output in outputs]
        if attention[0] is not None:
            attention = Attention(
                *(
                    None if own[0] is None else torch.stack(own).mean(dim=0)
                    for own in zip(*attention)
                )
            )
        else:
            attention = None
        if isinstance(outputs[0], DimensionOutput):
            return _with_mean_dimensions(outputs, logits, weights, attention)
        return EmotionOutput(logits, weights, attention)


def _with_mean_dimensions(
    outputs: List[DimensionOutput], logits, weights, attention
) -> DimensionOutput:
    """Return an output with the mean dimensions of several outputs."""
    first = outputs[0]
    return DimensionOutput(
        logits,
        weights,
        attention,
        values={
            name: torch.stack([each.values[name] for each in outputs]).mean(0)
            for name in first.values
        },
        value_weights=first.value_weights,
        emotion_weight=first.emotion_weight,
        scale=first.scale,
    )


def _mean_of(log_probabilities: List[torch.Tensor]) -> torch.Tensor:
    """Return the logarithm of mean probabilities, ``[batch, classes]``."""
    stacked = torch.stack(log_probabilities)
    return stacked.logsumexp(dim=0) - math.log(len(stacked))
