"""From manifest and stored features to the flat batches of a fold.

Authors
 * The speechbrain-can developers 2026
"""

import torch

import speechbrain as sb
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataset import DynamicItemDataset


def concatenate(tensors):
    """Joins ragged tensors end to end, for ``PaddedBatch``.

    Arguments
    ---------
    tensors : list of torch.Tensor
        One an utterance.

    Returns
    -------
    flat : torch.Tensor
        Their concatenation.
    counts : torch.Tensor
        Their lengths, absolute rather than relative, shape ``[batch]``.
    """
    counts = torch.tensor([len(tensor) for tensor in tensors])
    return torch.cat(tensors), counts


def flat_batch(examples):
    """Collates utterances without padding: a ``collate_fn``.

    Every tensor becomes a ``PaddedData`` of flat data and absolute counts; a
    ``PaddedBatch`` cannot pad words and frames at once. Other values, such as
    the words themselves, stay lists.

    Arguments
    ---------
    examples : list of dict
        Utterances, as a dataset of ``make_datasets`` yields them.

    Returns
    -------
    PaddedBatch
        The batch.

    Example
    -------
    >>> batch = flat_batch(
    ...     [
    ...         {"words": ["so"], "frame_counts": torch.tensor([4])},
    ...         {"words": ["oh", "well"], "frame_counts": torch.tensor([2, 3])},
    ...     ]
    ... )
    >>> batch.words
    [['so'], ['oh', 'well']]
    >>> batch.frame_counts
    PaddedData(data=tensor([4, 2, 3]), lengths=tensor([1, 2]))
    """
    return PaddedBatch(examples, padding_func=concatenate)


def make_datasets(utterances, parts, store, label_encoder):
    """Datasets of one fold.

    Arguments
    ---------
    utterances : dict of str: Utterance
        The corpus.
    parts : dict of str: list of str
        IDs under ``train``, ``valid`` and ``test``.
    store : FeatureStore
        Features of the corpus.
    label_encoder : CategoricalEncoder
        From emotions to class numbers.

    Returns
    -------
    dict of str: DynamicItemDataset
        Datasets under the same keys as ``parts``, in that order. Each item has
        ``id``, ``words``, ``frames`` ``[frames, features]``, ``frame_counts``
        ``[words]`` and ``emotion_encoded`` ``[1]``.
    """

    @sb.utils.data_pipeline.takes("id")
    @sb.utils.data_pipeline.provides("frames", "frame_counts")
    def audio_pipeline(name):
        """Reads the stored frames of an utterance."""
        frames, frame_counts = store[name]
        yield frames
        yield frame_counts

    @sb.utils.data_pipeline.takes("emotion")
    @sb.utils.data_pipeline.provides("emotion_encoded")
    def label_pipeline(emotion):
        """Encodes the emotion as a class number."""
        return label_encoder.encode_label_torch(emotion).view(1)

    return {
        part: DynamicItemDataset(
            {
                name: {
                    "words": [word.text for word in utterances[name].words],
                    "emotion": utterances[name].emotion,
                }
                for name in names
            },
            dynamic_items=[audio_pipeline, label_pipeline],
            output_keys=[
                "id",
                "words",
                "frames",
                "frame_counts",
                "emotion_encoded",
            ],
        )
        for part, names in parts.items()
    }
