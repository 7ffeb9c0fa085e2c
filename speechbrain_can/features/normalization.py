"""Feature normalization with statistics of the training data."""

from dataclasses import dataclass
from typing import Iterable

import torch

from speechbrain_can.lobes.ragged import WordFrames, mean_over_steps, send


def standardize(
    frames: torch.Tensor, mean: torch.Tensor, std: torch.Tensor
) -> torch.Tensor:
    """Scale frames ``[frames, features]`` to mean 0 and standard deviation 1."""
    return (frames - mean) / usable(std)


def usable(std: torch.Tensor) -> torch.Tensor:
    """Replace standard deviations of constant features by 1."""
    return torch.where(std > 1e-5, std, torch.ones_like(std))


class GlobalNormalization(torch.nn.Module):
    """Mean and variance normalization with statistics of the training data.

    Arguments
    ---------
    size : int
        Number of features.

    Example
    -------
    >>> normalize = GlobalNormalization(2)
    >>> normalize.set_statistics(
    ...     torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0])
    ... )
    >>> normalize(torch.tensor([[3.0, 2.0]]))
    tensor([[1., 0.]])
    """

    adapts = False  # to speakers

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def set_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Set the mean and standard deviation, ``[features]`` each."""
        self.mean.copy_(mean)
        self.std.copy_(usable(std))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Normalize frames ``[frames, features]``."""
        return (frames - self.mean) / self.std


class NoNormalization(torch.nn.Module):
    """Identity, for encoders that normalize their input.

    Example
    -------
    >>> NoNormalization()(torch.tensor([[3.0]]))
    tensor([[3.]])
    """

    adapts = False

    def set_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Ignore the statistics."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames unchanged."""
        return frames


class SpeakerAdaptation(GlobalNormalization):
    """Normalization that unlabeled recordings adapt to a speaker.

    The mean features of a recording are modeled as the mean of its emotion, plus an
    offset of the speaker, plus a deviation of this emotion of the speaker, plus noise,
    which are independent and Gaussian. The posterior mean of the offset given the
    recordings of the speaker is subtracted from the features. Without recordings it is
    0. Recordings of a single emotion change it less than those of several.

    Emotions of unlabeled recordings are predicted without adaptation; a recording
    belongs to each emotion with its probability.

    Arguments
    ---------
    size : int
        Number of features.
    n_classes : int
        Number of emotions.
    strength : float
        Variance of the noise relative to that of the offsets.
    emotion_strength : float
        Variance of the deviations of emotions relative to that of the offsets.

    Example
    -------
    >>> normalize = SpeakerAdaptation(2, 2, strength=1.0, emotion_strength=0.5)
    >>> means, emotions = torch.tensor([[1.0, 0.0], [3.0, 0.0]]), [0, 1]
    >>> normalize.fit_classes([(means, torch.tensor(emotions))])
    >>> probabilities = torch.tensor([[1.0, 0.0]])
    >>> profile = SpeakerProfile.empty(2, 2)
    >>> profile.add(
    ...     normalize.evidence(torch.tensor([[6.0, 5.0]]), probabilities)
    ... )
    >>> normalize.offset(profile)
    tensor([2., 2.])
    """

    adapts = True
    half_buffers = ("class_means",)  # see save_network

    def __init__(
        self,
        size: int,
        n_classes: int,
        strength: float = 3.0,
        emotion_strength: float = 2.0,
    ):
        super().__init__(size)
        self.strength = strength
        self.emotion_strength = emotion_strength
        self.register_buffer("class_means", torch.zeros(n_classes, size))

    def fit_classes(
        self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]
    ) -> None:
        """Set the means of the emotions.

        ``batches`` contain the means of training recordings,
        ``[recordings, features]``, and their class indices, ``[recordings]``.
        """
        totals = torch.zeros_like(self.class_means, dtype=torch.float64)
        counts = totals.new_zeros(len(totals))
        for means, targets in batches:
            totals.index_add_(0, targets, means.double())
            counts += targets.bincount(minlength=len(counts))
        self.class_means.copy_(totals / counts.clamp(min=1)[:, None])

    def evidence(
        self, means: torch.Tensor, probabilities: torch.Tensor
    ) -> "SpeakerProfile":
        """Return the profile of a speaker with these recordings only.

        ``means`` ``[recordings, features]`` are those of the features, and
        ``probabilities`` ``[recordings, classes]`` those of the emotions.
        """
        counts = probabilities.sum(dim=0)
        totals = probabilities.T @ means - counts[:, None] * self.class_means
        return SpeakerProfile(totals, counts, len(means))

    def offset(
        self,
        profile: "SpeakerProfile",
        own: "SpeakerProfile | None" = None,
    ) -> torch.Tensor:
        """Return the offset of a speaker, ``[features]``.

        ``own`` is the evidence of the recording to be predicted, if the profile
        contains it: a recording does not adapt itself.
        """
        totals, counts = profile.totals, profile.counts
        if own is not None:
            totals = totals - own.totals
            counts = (counts - own.counts).clamp(min=0)
        # Precision of the mean of each emotion, divided by its count
        share = 1 / (self.emotion_strength * counts + self.strength)
        return (share @ totals) / (1 + share @ counts)


@dataclass
class SpeakerProfile:
    """Statistics of a speaker for adaptation, without audio or text.

    Arguments
    ---------
    totals : torch.Tensor
        Differences of recordings from the mean of an emotion, weighted with its
        probability and summed, ``[classes, features]``.
    counts : torch.Tensor
        Sum of the probabilities of each emotion, ``[classes]``.
    recordings : int
        Number of recordings.
    """

    totals: torch.Tensor
    counts: torch.Tensor
    recordings: int = 0

    @classmethod
    def empty(cls, n_classes: int, size: int) -> "SpeakerProfile":
        """Return the profile of an unknown speaker."""
        return cls(torch.zeros(n_classes, size), torch.zeros(n_classes))

    def add(self, other: "SpeakerProfile") -> None:
        """Add the recordings of another profile."""
        self.totals = self.totals + other.totals.to(self.totals)
        self.counts = self.counts + other.counts.to(self.counts)
        self.recordings += other.recordings


def mean_frames(audio: WordFrames) -> torch.Tensor:
    """Return the mean frame of each utterance, ``[batch, features]``."""
    return mean_over_steps(audio.frames, _frames_of_utterances(audio))


def shifted(audio: WordFrames, offsets: torch.Tensor) -> WordFrames:
    """Subtract an offset per utterance, ``[batch, features]``, from its frames."""
    counts = _frames_of_utterances(audio)
    rows = torch.arange(len(counts)).repeat_interleave(counts)
    rows = send(rows, offsets.device)
    return audio._replace(frames=audio.frames - offsets.index_select(0, rows))


def _frames_of_utterances(audio: WordFrames) -> torch.Tensor:
    """Return the number of frames of each utterance, ``[batch]``, on the CPU."""
    owners = torch.arange(len(audio.word_counts))
    owners = owners.repeat_interleave(audio.word_counts)
    counts = torch.zeros_like(audio.word_counts)
    return counts.index_add(0, owners, audio.frame_counts)
