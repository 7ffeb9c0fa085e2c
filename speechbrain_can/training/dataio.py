"""From manifest and stored features to the flat batches of a fold."""

from dataclasses import dataclass, replace
from typing import List

import torch

import speechbrain as sb
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain_can.alignment.words import texts_of
from speechbrain_can.corpus.manifest import column_value, read_votes
from speechbrain_can.corpus.prepare import CorpusError
from speechbrain_can.features.normalization import standardize
from speechbrain_can.lobes.ragged import WordFrames


@dataclass(frozen=True)
class Batch:
    """Utterances without padding.

    Arguments
    ---------
    ids : list of str
        The utterances.
    words : list of list of str
        The words of each.
    audio : WordFrames
        The frames of each word.
    targets : torch.Tensor
        Class numbers, shape ``[batch]``; in training with soft labels shares
        of the classes, shape ``[batch, classes]``.
    """

    ids: List[str]
    words: List[List[str]]
    audio: WordFrames
    targets: torch.Tensor

    def to(self, device):
        """The same batch on a device."""
        audio = WordFrames(*(tensor.to(device) for tensor in self.audio))
        return replace(self, audio=audio, targets=self.targets.to(device))


def flat_batch(examples):
    """Collates the items of a dataset of ``make_datasets``: a ``collate_fn``.

    SpeechBrain's ``PaddedBatch`` pads one ragged dimension, and here there are
    two, words and frames.

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
    )


def make_datasets(
    utterances,
    parts,
    store,
    label_encoder,
    augmented=None,
    soft_labels=False,
    statistics=None,
):
    """Datasets of one fold, under the keys of ``parts`` and in their order.

    Each item has ``id``, ``words``, ``frames`` ``[frames, features]``,
    ``frame_counts`` ``[segments]`` and ``emotion_encoded``, ``[1]`` or shares.

    Arguments
    ---------
    utterances : dict of str: Utterance
        By ID.
    parts : dict of str: list of str
        IDs of ``train``, ``valid`` and ``test``.
    store : FeatureStore
        Their features.
    label_encoder : CategoricalEncoder
        From emotions to class numbers.
    augmented : callable or None
        From an utterance to its frames and counts, for ``train``.
    soft_labels : bool
        Whether ``emotion_encoded`` of ``train`` is the share of each class in
        the raters' votes, ``[1, classes]``.
    statistics : dict or None
        By ID, mean and standard deviation that frames are normalised with.

    Returns
    -------
    dict of str: DynamicItemDataset
        By part.
    """

    def pipelines(part):
        """What makes the items of a part."""

        @sb.utils.data_pipeline.takes("id")
        @sb.utils.data_pipeline.provides("frames", "frame_counts")
        def audio_pipeline(utterance_id):
            """Reads the frames of an utterance, or draws them anew."""
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
            """Encodes the emotion as a class number, or as shares."""
            utterance = utterances[utterance_id]
            if soft_labels and part == "train":
                return vote_shares(utterance, label_encoder)[None]
            return label_encoder.encode_label_torch(utterance.emotion).view(1)

        return [audio_pipeline, label_pipeline]

    return {
        part: DynamicItemDataset(
            {
                utterance_id: {
                    "words": texts_of(utterances[utterance_id].words),
                    "emotion": utterances[utterance_id].emotion,
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
            ],
        )
        for part, ids in parts.items()
    }


def vote_shares(utterance, label_encoder):
    """The share of each class in an utterance's votes, ``[classes]``."""
    shares = torch.zeros(len(label_encoder))
    for emotion, votes in read_votes(utterance).items():
        if emotion not in label_encoder.lab2ind:
            raise CorpusError(
                f"{utterance.utterance_id} has votes for {emotion!r}, which is "
                "no class of the corpus"
            )
        shares[label_encoder.lab2ind[emotion]] += votes
    return shares / shares.sum()


def group_statistics(utterances, store, column):
    """Mean and standard deviation of the frames of each group, by ID.

    Arguments
    ---------
    utterances : dict of str: Utterance
        By ID.
    store : FeatureStore
        Their features.
    column : str
        Of the manifest, such as ``speaker``: what a group shares.

    Returns
    -------
    dict of str: tuple of torch.Tensor
        Mean and deviation, each of shape ``[features]``.
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
            f"normalize_by is {column}, and {len(groups[''])} utterances have "
            f"none, {groups[''][0]} among them"
        )
    found = {group: store.statistics(ids) for group, ids in groups.items()}
    return {name: found[group] for name, group in group_of.items()}
