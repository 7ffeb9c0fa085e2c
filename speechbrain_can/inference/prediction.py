"""Records of predictions."""

from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import torch


@dataclass(frozen=True)
class AttendedWord:
    """A word with its timing and attention weights.

    Arguments
    ---------
    text : str
        The word.
    start, end : float
        Seconds from the start of the recording.
    score : float or None
        Confidence of the speech recognizer or aligner, 0 to 1.
    attention : dict of str: tuple of float
        For each modality, ``text`` and ``audio``, one weight per head. The
        weights of a head sum to 1 over the words. Empty if the model has no
        attention over words.
    """

    text: str
    start: float
    end: float
    score: Optional[float]
    attention: Dict[str, Tuple[float, ...]]

    @property
    def mean_attention(self) -> Dict[str, float]:
        """Mean attention weight over heads, for each modality."""
        return {
            modality: sum(weights) / len(weights)
            for modality, weights in self.attention.items()
        }


@dataclass(frozen=True)
class Prediction:
    """The predicted emotion of an utterance.

    Unpacks like the result of SpeechBrain's ``EncoderClassifier.classify_file``:
    log-probabilities ``[1, classes]``, the highest one ``[1]``, its index ``[1]``
    and a list with the label.

    Arguments
    ---------
    path : str
        The recording; empty for waveforms.
    start, end : float
        Position of the utterance in the recording, in seconds.
    label : str
        The most probable emotion.
    probabilities : dict of str: float
        Calibrated probability of each emotion.
    decisions : dict of str: dict of str: float
        Uncalibrated probabilities of each classifier; CAN has ``joint``,
        ``text`` and ``audio``.
    words : list of AttendedWord
        The words with timings and attention.
    aligned_by : str
        Source of the word timings.
    adjustments : tuple of str
        Repaired word timings, and text that was left out.
    adapted_to : int
        Number of other recordings of the speaker that the prediction was adapted
        to.
    emotions : tuple of str or None
        Emotions that the model cannot exclude at the requested confidence, the most
        probable first; None if none was requested. See ``is_sure``.
    warnings : tuple of str
        Measures outside the usual range of the training set.
    dimensions : dict of str: float
        Emotional dimensions, in the units of the training labels; empty if the model
        has none.

    Example
    -------
    >>> prediction = Prediction(
    ...     "a.wav",
    ...     0.0,
    ...     1.0,
    ...     "ang",
    ...     {"ang": 0.75, "sad": 0.25},
    ...     {},
    ...     [],
    ...     "given",
    ... )
    >>> log_probabilities, score, index, labels = prediction
    >>> labels, index, round(prediction.confidence, 2)
    (['ang'], tensor([0]), 0.75)
    """

    path: str
    start: float
    end: float
    label: str
    probabilities: Dict[str, float]
    decisions: Dict[str, Dict[str, float]]
    words: List[AttendedWord]
    aligned_by: str
    adjustments: Tuple[str, ...] = ()
    adapted_to: int = 0
    emotions: Optional[Tuple[str, ...]] = None
    warnings: Tuple[str, ...] = ()
    dimensions: Dict[str, float] = field(default_factory=dict)

    def __iter__(self):
        log_probabilities = torch.tensor([[*self.probabilities.values()]]).log()
        score, index = log_probabilities.max(dim=1)
        yield from (log_probabilities, score, index, [self.label])

    @property
    def confidence(self) -> float:
        """Probability of the predicted label."""
        return self.probabilities[self.label]

    @property
    def is_sure(self) -> bool:
        """False if a confidence was requested and not only the label is left."""
        return self.emotions in (None, (self.label,))

    @property
    def decision(self) -> str:
        """The label, or ``not sure`` with the emotions that are left."""
        if self.is_sure:
            return self.label
        names = " or ".join(self.emotions) or "unlike the training set"
        return f"not sure ({names})"

    def as_dict(self) -> Dict[str, Any]:
        """Return a dictionary that JSON can represent."""
        return asdict(self)


@dataclass(frozen=True)
class Timeline:
    """Predictions for the utterances of a long recording.

    Arguments
    ---------
    predictions : list of Prediction
        In temporal order.
    skipped : list of (float, float, str)
        Start and end (seconds) of speech without a prediction, and the reason.
    adjustments : tuple of str
        Repaired word timings, and text that was left out.
    """

    predictions: List[Prediction]
    skipped: List[Tuple[float, float, str]]
    adjustments: Tuple[str, ...] = ()
