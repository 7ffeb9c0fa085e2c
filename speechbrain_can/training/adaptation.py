"""Adaptation to speakers (``SpeakerAdaptation``) in training and testing."""

import copy
import random
from collections import defaultdict
from typing import Sequence

import torch

from speechbrain.utils.logger import get_logger
from speechbrain_can.corpus.manifest import Utterance
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.features.cache import FeatureCache
from speechbrain_can.features.normalization import (
    SpeakerAdaptation,
    SpeakerProfile,
    mean_frames,
    shifted,
)
from speechbrain_can.lobes.ragged import WordFrames

logger = get_logger(__name__)

# Numbers of recordings that training adapts to; 0 in three of ten cases
UNADAPTED = 0.3
RECORDINGS = (1, 2, 3, 5, 8, 12, 20, 30, 60)
# Half of the draws are unbalanced: most recordings express the same emotion
UNBALANCED, SAME_EMOTION = 0.5, 0.8


def speakers_of(utterances: dict[str, Utterance]) -> dict[str, str | None]:
    """Return the speaker of each utterance, or None if it is unknown.

    Utterances without a speaker are not adapted, which is logged as a warning.
    Raises ``CorpusError`` if no speaker is known.
    """
    speakers = {name: each.speaker or None for name, each in utterances.items()}
    unknown = [name for name, speaker in speakers.items() if speaker is None]
    if len(unknown) == len(speakers):
        raise CorpusError(
            "SpeakerAdaptation needs the speakers of utterances, but none is known. "
            "Provide the column speaker, or use GlobalNormalization."
        )
    if unknown:
        logger.warning(
            "%d of %d utterances have no speaker and are not adapted, for example %s",
            len(unknown),
            len(speakers),
            unknown[0],
        )
    return speakers


class DrawnOffsets:
    """Offsets of training speakers, from random recordings of random number.

    The model is thereby trained for speakers with many recordings, with few, and with
    a single one. Uses the labels of the training set.

    Arguments
    ---------
    normalize : SpeakerAdaptation
        Fitted normalization.
    speakers : dict of str: str or None
        Speakers of the training set by ID; None if unknown.
    targets : dict of str: int
        Class indices of the training set by ID.
    stores : list of FeatureCache
        Features of the recordings and of their copies.
    """

    def __init__(
        self,
        normalize: SpeakerAdaptation,
        speakers: dict[str, str | None],
        targets: dict[str, int],
        stores: Sequence[FeatureCache],
    ):
        # Workers of data loaders cannot use a GPU.
        self.normalize = copy.deepcopy(normalize).cpu()
        self.speakers = speakers
        self.targets = targets
        self.stores = stores
        self.recordings = defaultdict(lambda: defaultdict(list))
        for name, speaker in sorted(speakers.items()):
            if speaker is not None:
                self.recordings[speaker][targets[name]].append(name)
        self.recordings = {k: dict(v) for k, v in self.recordings.items()}

    def draw(self, utterance_id: str) -> list[str]:
        """Draw other recordings of the speaker, with replacement."""
        by_emotion = self.recordings.get(self.speakers[utterance_id], {})
        every = [name for names in by_emotion.values() for name in names]
        if len(every) < 2 or random.random() < UNADAPTED:
            return []
        number = random.choice(RECORDINGS)
        same = by_emotion[random.choice(sorted(by_emotion))]
        share = SAME_EMOTION if random.random() < UNBALANCED else 0.0
        drawn = [
            random.choice(same if random.random() < share else every)
            for _ in range(number)
        ]
        return [name for name in drawn if name != utterance_id]

    def __call__(self, utterance_id: str, number: int) -> torch.Tensor | float:
        """Return a random offset ``[features]`` from copy ``number`` of recordings."""
        names = self.draw(utterance_id)
        if not names:
            return 0.0
        targets = torch.tensor([self.targets[name] for name in names])
        n_classes = len(self.normalize.class_means)
        one_hot = torch.nn.functional.one_hot(targets, n_classes).float()
        means = self.stores[number].means(names)
        return self.normalize.offset(self.normalize.evidence(means, one_hot))


class EvaluatedSpeakers:
    """Profiles of the speakers of a test set, from its recordings without labels.

    ``add`` receives all batches with their probabilities without adaptation, and then
    ``adapt`` adapts each recording to the other recordings of its speaker.

    Arguments
    ---------
    normalize : SpeakerAdaptation
        Fitted normalization.
    speakers : dict of str: str or None
        Speakers by ID; None if unknown.
    """

    def __init__(
        self, normalize: SpeakerAdaptation, speakers: dict[str, str | None]
    ):
        self.normalize = normalize
        self.speakers = speakers
        self.profiles, self.probabilities = {}, {}

    def add(
        self, ids: list[str], audio: WordFrames, probabilities: torch.Tensor
    ) -> None:
        """Add recordings to the profiles of their speakers."""
        probabilities = probabilities.to(audio.frames)
        for name, mean, row in zip(ids, mean_frames(audio), probabilities):
            if self.speakers[name] is None:
                continue
            own = self.normalize.evidence(mean[None], row[None])
            empty = SpeakerProfile(
                torch.zeros_like(own.totals), torch.zeros_like(own.counts)
            )
            self.profiles.setdefault(self.speakers[name], empty).add(own)
            self.probabilities[name] = row

    def adapt(self, ids: list[str], audio: WordFrames) -> WordFrames:
        """Subtract the offsets of the speakers from the frames of a batch."""
        offsets = []
        for name, mean in zip(ids, mean_frames(audio)):
            if self.speakers[name] is None:
                offsets.append(torch.zeros_like(mean))
                continue
            own = self.normalize.evidence(
                mean[None], self.probabilities[name][None]
            )
            profile = self.profiles[self.speakers[name]]
            offsets.append(self.normalize.offset(profile, own))
        return shifted(audio, torch.stack(offsets))
