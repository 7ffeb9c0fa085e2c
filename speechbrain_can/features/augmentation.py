"""Data augmentation, different in every epoch.

Augmented waveforms cannot come from the feature cache: they are read, augmented with
SpeechBrain's ``Augmenter`` and converted to features whenever they are used.
"""

import random
from contextlib import contextmanager
from dataclasses import replace
from typing import Iterator, Sequence

import torch

from speechbrain.augment.augmenter import Augmenter
from speechbrain_can.alignment.words import Word
from speechbrain_can.corpus.manifest import Utterance, resolve_wav
from speechbrain_can.features.extraction import extract_features
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.io.integrity import checksum


def augment_speech(
    waveform: torch.Tensor, words: Sequence[Word], augment: Augmenter
) -> tuple[torch.Tensor, list[Word]]:
    """Augment a waveform and move its words accordingly.

    A change of speed scales the times of words by the ratio of the lengths.

    Arguments
    ---------
    waveform : torch.Tensor
        Samples, ``[samples]``.
    words : list of Word
        Words that tile the utterance.
    augment : Augmenter
        SpeechBrain augmenter with one output per input: without
        ``parallel_augment`` and ``concat_original``.

    Returns
    -------
    waveform : torch.Tensor
        Samples, ``[samples]``.
    words : list of Word
        The words with new times.

    Raises
    ------
    ValueError
        If the augmenter returns several signals.

    Example
    -------
    >>> from speechbrain.augment.time_domain import SpeedPerturb
    >>> from speechbrain_can.alignment.words import Word
    >>> augment = Augmenter(
    ...     min_augmentations=1,
    ...     max_augmentations=1,
    ...     augmentations=[SpeedPerturb(16000, speeds=[50])],
    ... )
    >>> waveform, words = augment_speech(
    ...     torch.randn(16000), [Word("so", 0.0, 1.0)], augment
    ... )
    >>> len(waveform), words[0].end
    (32000, 2.0)
    """
    changed = _change(waveform[None], augment)[0]
    longer = len(changed) / len(waveform)
    moved = [
        replace(word, start=word.start * longer, end=word.end * longer)
        for word in words
    ]
    return changed, moved


def _change(signal: torch.Tensor, augment: Augmenter) -> torch.Tensor:
    """Augment one signal ``[1, steps, ...]``."""
    changed, _ = augment(signal, torch.ones(1))
    if len(changed) != 1:
        raise ValueError(
            "the augmenter must return one signal per input. Set parallel_augment "
            "and concat_original to False, and repeat_augment to 1."
        )
    return changed


@contextmanager
def drawn_from(key: str) -> Iterator[None]:
    """Seed the CPU random generators with a text, and restore them afterwards."""
    seed = checksum(key.encode())
    before = torch.get_rng_state(), random.getstate()
    # torch.manual_seed would also seed all accelerators
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        random.setstate(before[1])


@contextmanager
def one_thread():
    """Compute in one thread, as the workers of a data loader do.

    The rounding of torch's operations depends on the number of threads.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class AugmentedFeatures:
    """Augmented features of an utterance in the current epoch.

    Random numbers depend on seed, epoch and utterance only, not on the loader
    process. If a sampler draws an utterance twice in an epoch, both are equal.

    Arguments
    ---------
    store : FeatureCache
        Feature cache, used if the waveform is not augmented.
    data_folder : str
        Value of ``$data_root``.
    compute_features, segment : callable
        See ``FeatureCache.build``.
    seed : int
        Seed of the run.
    epoch_counter : EpochCounter
        SpeechBrain's epoch counter.
    augment_waveform : Augmenter or None
        Augmenter of waveforms; see ``augment_speech``.
    augment_frames : Augmenter or None
        Augmenter of frames, such as ``SpectrogramDrop`` (SpecAugment).
    """

    def __init__(
        self,
        store,
        data_folder,
        compute_features,
        segment,
        seed,
        epoch_counter,
        augment_waveform=None,
        augment_frames=None,
    ):
        self.store = store
        self.data_folder = data_folder
        self.compute_features = compute_features
        self.segment = segment
        self.seed = seed
        self.epoch_counter = epoch_counter
        self.augment_waveform = augment_waveform
        self.augment_frames = augment_frames

    @torch.no_grad()
    def __call__(
        self, utterance: Utterance
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return frames ``[frames, features]`` and frame counts ``[words]``."""
        epoch = self.epoch_counter.current
        key = f"{self.seed} {epoch} {utterance.utterance_id}"
        with drawn_from(key), one_thread():
            return self._draw(utterance)

    def _draw(self, utterance):
        if self.augment_waveform is None:
            frames, counts = self.store[utterance.utterance_id]
        else:
            waveform, words = augment_speech(
                read_waveform(
                    resolve_wav(utterance, self.data_folder),
                    self.compute_features.sample_rate,
                ),
                utterance.words,
                self.augment_waveform,
            )
            ((frames, counts),) = extract_features(
                self.compute_features, [waveform], [words], self.segment
            )
        if self.augment_frames is not None:
            frames = _change(frames[None], self.augment_frames)[0]
        return frames, counts
