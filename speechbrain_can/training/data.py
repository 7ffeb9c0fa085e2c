"""Datasets and batches without padding, from the manifest and the feature cache."""

from dataclasses import dataclass, replace
from typing import Callable, List, Optional

import torch

import speechbrain as sb
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.encoder import CategoricalEncoder
from speechbrain_can.alignment.words import texts_of
from speechbrain_can.corpus.manifest import Utterance, column_value, read_votes
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.features.cache import FeatureCache
from speechbrain_can.features.normalization import standardize
from speechbrain_can.lobes.ragged import WordFrames


@dataclass(frozen=True)
class Batch:
    """Utterances without padding.

    Arguments
    ---------
    ids : list of str
        IDs of the utterances.
    words : list of list of str
        Words of each utterance.
    audio : WordFrames
        Frames of each word.
    targets : torch.Tensor
        Class indices, ``[batch]``, or class shares, ``[batch, classes]``, when
        training with soft labels.
    dimensions : torch.Tensor or None
        Labels of emotional dimensions, ``[batch, dimensions]``; NaN if missing.
    """

    ids: List[str]
    words: List[List[str]]
    audio: WordFrames
    targets: torch.Tensor
    dimensions: Optional[torch.Tensor] = None

    def to(self, device: str | torch.device) -> "Batch":
        """Return the batch with frames and targets on a device.

        Counts stay on the CPU. A batch in pinned memory is copied without waiting.
        """
        frames = self.audio.frames.to(device, non_blocking=True)
        dimensions = self.dimensions
        if dimensions is not None:
            dimensions = dimensions.to(device, non_blocking=True)
        return replace(
            self,
            audio=self.audio._replace(frames=frames),
            targets=self.targets.to(device, non_blocking=True),
            dimensions=dimensions,
        )

    def pin_memory(self) -> "Batch":
        """Return the batch in pinned memory; data loaders call this."""
        audio = WordFrames(*(tensor.pin_memory() for tensor in self.audio))
        dimensions = self.dimensions
        if dimensions is not None:
            dimensions = dimensions.pin_memory()
        return replace(
            self,
            audio=audio,
            targets=self.targets.pin_memory(),
            dimensions=dimensions,
        )


def flat_batch(examples: list[dict]) -> Batch:
    """Collate items of a dataset from ``make_datasets``.

    SpeechBrain's ``PaddedBatch`` supports one ragged dimension, but these items
    have two, words and frames.

    Example
    -------
    >>> batch = flat_batch(
    ...     [
    ...         {
    ...             "id": "a",
    ...             "words": ["so"],
    ...             "frames": torch.zeros(4, 40),
    ...             "frame_counts": torch.tensor([4]),
    ...             "emotion_encoded": torch.tensor([2]),
    ...         },
    ...         {
    ...             "id": "b",
    ...             "words": ["oh", "well"],
    ...             "frames": torch.zeros(5, 40),
    ...             "frame_counts": torch.tensor([2, 3]),
    ...             "emotion_encoded": torch.tensor([0]),
    ...         },
    ...     ]
    ... )
    >>> batch.words, batch.targets
    ([['so'], ['oh', 'well']], tensor([2, 0]))
    >>> batch.audio.frame_counts, batch.audio.word_counts
    (tensor([4, 2, 3]), tensor([1, 2]))
    """
    columns = {key: [item[key] for item in examples] for key in examples[0]}
    return Batch(
        ids=columns["id"],
        words=[list(words) for words in columns["words"]],
        audio=WordFrames(
            frames=torch.cat(columns["frames"]),
            frame_counts=torch.cat(columns["frame_counts"]),
            word_counts=torch.tensor(
                [len(counts) for counts in columns["frame_counts"]]
            ),
        ),
        targets=torch.cat(columns["emotion_encoded"]),
        dimensions=(
            torch.stack(columns["dimensions"])
            if "dimensions" in columns
            else None
        ),
    )


def make_datasets(
    utterances: dict[str, Utterance],
    parts: dict[str, list[str]],
    store: FeatureCache,
    label_encoder: CategoricalEncoder,
    augmented: Callable | None = None,
    soft_labels: bool = False,
    statistics: dict | None = None,
    dimensions: dict[str, torch.Tensor] | None = None,
) -> dict[str, DynamicItemDataset]:
    """Return the datasets of a fold, with the keys of ``parts``.

    Items contain ``id``, ``words``, ``frames`` ``[frames, features]``,
    ``frame_counts`` ``[segments]`` and ``emotion_encoded``, ``[1]`` or class shares.
    ``augmented`` maps a training utterance to its augmented frames and frame counts.
    With ``soft_labels``, training targets are the shares of the raters' votes.
    ``statistics`` contains the mean and standard deviation, by ID, with which frames
    are normalized. ``dimensions`` contains the labels of emotional dimensions,
    ``[dimensions]``, by ID; items then contain them as well.
    """

    def pipelines(part):
        """Return the pipelines of a part."""

        @sb.utils.data_pipeline.takes("id")
        @sb.utils.data_pipeline.provides("frames", "frame_counts")
        def audio_pipeline(utterance_id):
            """Read the frames of an utterance, or augment them."""
            if augmented is not None and part == "train":
                frames, counts = augmented(utterances[utterance_id])
            else:
                frames, counts = store[utterance_id]
            if statistics is not None:
                frames = standardize(frames, *statistics[utterance_id])
            yield frames
            yield counts

        @sb.utils.data_pipeline.takes("id")
        @sb.utils.data_pipeline.provides("emotion_encoded")
        def label_pipeline(utterance_id):
            """Encode the emotion as a class index or as class shares."""
            utterance = utterances[utterance_id]
            if soft_labels and part == "train":
                return vote_shares(utterance, label_encoder)[None]
            return label_encoder.encode_label_torch(utterance.emotion).view(1)

        if dimensions is None:
            return [audio_pipeline, label_pipeline]

        @sb.utils.data_pipeline.takes("id")
        @sb.utils.data_pipeline.provides("dimensions")
        def dimension_pipeline(utterance_id):
            """Return the labels of emotional dimensions."""
            return dimensions[utterance_id]

        return [audio_pipeline, label_pipeline, dimension_pipeline]

    return {
        part: DynamicItemDataset(
            {
                utterance_id: {
                    "words": texts_of(utterances[utterance_id].words),
                    "emotion": utterances[utterance_id].emotion,
                    "utterance": utterances[utterance_id],
                }
                for utterance_id in ids
            },
            dynamic_items=pipelines(part),
            output_keys=[
                "id",
                "words",
                "frames",
                "frame_counts",
                "emotion_encoded",
                *([] if dimensions is None else ["dimensions"]),
            ],
        )
        for part, ids in parts.items()
    }


def vote_shares(
    utterance: Utterance, label_encoder: CategoricalEncoder
) -> torch.Tensor:
    """Return the share of each class in the votes, ``[classes]``."""
    shares = torch.zeros(len(label_encoder))
    for emotion, votes in read_votes(utterance).items():
        if emotion not in label_encoder.lab2ind:
            raise CorpusError(
                f"{utterance.utterance_id} has votes for {emotion!r}, which is "
                "not a class of the corpus"
            )
        shares[label_encoder.lab2ind[emotion]] += votes
    return shares / shares.sum()


def group_statistics(
    utterances: dict[str, Utterance], store: FeatureCache, column: str
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return mean and standard deviation, ``[features]`` each, by utterance ID.

    The frames of all utterances with the same value in ``column`` are a group.
    """
    group_of = {
        name: column_value(utterance, column)
        for name, utterance in utterances.items()
    }
    groups = {}
    for name, group in group_of.items():
        groups.setdefault(group, []).append(name)
    if "" in groups:
        raise CorpusError(
            f"normalize_by={column} needs the {column} of every utterance, but "
            f"{len(groups[''])} have none, for example {groups[''][0]}"
        )
    found = {group: store.statistics(ids) for group, ids in groups.items()}
    return {name: found[group] for name, group in group_of.items()}
