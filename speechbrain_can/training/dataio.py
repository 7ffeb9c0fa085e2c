"""From manifest and stored features to the flat batches of a fold.

Authors
 * The speechbrain-can developers 2026
"""

from dataclasses import dataclass, replace
from typing import List

import torch

import speechbrain as sb
from speechbrain.dataio.dataset import DynamicItemDataset
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
        Class numbers, shape ``[batch]``.
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
        words=columns["words"],
        audio=WordFrames(
            frames=torch.cat(columns["frames"]),
            frame_counts=torch.cat(columns["frame_counts"]),
            word_counts=torch.tensor(
                [len(counts) for counts in columns["frame_counts"]]
            ),
        ),
        targets=torch.cat(columns["emotion_encoded"]),
    )


def make_datasets(utterances, parts, store, label_encoder):
    """Datasets of one fold, under the keys of ``parts`` and in their order.

    Each item has ``id``, ``words``, ``frames`` ``[frames, features]``,
    ``frame_counts`` ``[segments]`` and ``emotion_encoded`` ``[1]``.
    """

    @sb.utils.data_pipeline.takes("id")
    @sb.utils.data_pipeline.provides("frames", "frame_counts")
    def audio_pipeline(utterance_id):
        """Reads the stored frames of an utterance."""
        frames, frame_counts = store[utterance_id]
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
                utterance_id: {
                    "words": [
                        word.text for word in utterances[utterance_id].words
                    ],
                    "emotion": utterances[utterance_id].emotion,
                }
                for utterance_id in ids
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
        for part, ids in parts.items()
    }
