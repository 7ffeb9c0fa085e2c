"""What a model says of a recording: plain records.

Authors
 * The speechbrain-can developers 2026
"""

from dataclasses import asdict, dataclass
from typing import Dict, List, Optional, Tuple

import torch


@dataclass(frozen=True)
class AttendedWord:
    """A word, when it was said, and how much the model attended to it.

    Arguments
    ---------
    text : str
        The word.
    start, end : float
        Seconds from the start of the recording.
    score : float or None
        How sure the recogniser or aligner was.
    attention : dict of str: tuple of float
        By modality, ``text`` and ``audio``, one weight a head; those of a head
        sum to 1 over the words. Empty for a model without attention to words.
    """

    text: str
    start: float
    end: float
    score: Optional[float]
    attention: Dict[str, Tuple[float, ...]]

    @property
    def mean_attention(self):
        """dict of str: float : by modality, the mean over heads."""
        return {
            modality: sum(weights) / len(weights)
            for modality, weights in self.attention.items()
        }


@dataclass(frozen=True)
class Prediction:
    """The emotion of an utterance.

    It unpacks to what SpeechBrain's ``EncoderClassifier.classify_file`` returns:
    log-probabilities ``[1, classes]``, the highest of them ``[1]``, its number
    ``[1]`` and the label in a list.

    Arguments
    ---------
    path : str
        The recording; empty if it was no file.
    start, end : float
        Where the utterance is in it, in seconds.
    label : str
        The likeliest emotion.
    probabilities : dict of str: float
        Of every emotion, calibrated.
    decisions : dict of str: dict of str: float
        What each classifier says alone, not calibrated: CAN has ``joint``,
        ``text`` and ``audio``.
    words : list of AttendedWord
        What was said.
    aligned_by : str
        Where the times come from.

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

    def __iter__(self):
        log_probabilities = torch.tensor([[*self.probabilities.values()]]).log()
        score, index = log_probabilities.max(dim=1)
        yield from (log_probabilities, score, index, [self.label])

    @property
    def confidence(self):
        """The probability of the label."""
        return self.probabilities[self.label]

    def as_dict(self):
        """As JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class Timeline:
    """The emotions of a long recording, utterance by utterance.

    Arguments
    ---------
    predictions : list of Prediction
        In the order of time.
    skipped : list of (float, float, str)
        Start and end in seconds of speech without a prediction, and why.
    """

    predictions: List[Prediction]
    skipped: List[Tuple[float, float, str]]
