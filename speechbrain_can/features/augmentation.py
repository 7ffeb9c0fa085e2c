"""Augmentation of utterances, drawn anew in every epoch.

A store is made once, so that what is augmented cannot come from it: waveforms are
read, changed and described again whenever they are trained on. SpeechBrain's
``Augmenter`` changes them."""

import random
import zlib
from contextlib import contextmanager
from dataclasses import replace

import torch

from speechbrain_can.audio import read_waveform
from speechbrain_can.corpus.manifest import resolve_wav
from speechbrain_can.features.store import describe


def augment_speech(waveform, words, augment):
    """A waveform that was changed, and its words where they are now.

    A change of speed moves every word: its times are multiplied by how much
    longer the waveform became.

    Arguments
    ---------
    waveform : torch.Tensor
        Shape ``[samples]``.
    words : list of Word
        Words that tile the utterance.
    augment : Augmenter
        SpeechBrain's, on one signal: without ``parallel_augment`` and
        ``concat_original``.

    Returns
    -------
    waveform : torch.Tensor
        Shape ``[samples]``.
    words : list of Word
        The same words at their times.

    Raises
    ------
    ValueError
        If the augmenter makes several signals of one.

    Example
    -------
    >>> from speechbrain.augment.augmenter import Augmenter
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


def _change(signal, augment):
    """One signal ``[1, steps, ...]`` changed."""
    changed, _ = augment(signal, torch.ones(1))
    if len(changed) != 1:
        raise ValueError(
            "an augmenter must make one signal of one: set parallel_augment "
            "and concat_original to False, and repeat_augment to 1"
        )
    return changed


@contextmanager
def drawn_from(key):
    """What is drawn on the processor depends on a text alone, and nothing after it."""
    seed = zlib.crc32(key.encode())
    before = torch.get_rng_state(), random.getstate()
    # not torch.manual_seed, which would seed every accelerator, too
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
    """Frames of an utterance as they are trained on in an epoch.

    What is drawn depends on seed, epoch and utterance, and so not on who loads
    it: what a sampler takes twice in an epoch is changed alike both times.

    Arguments
    ---------
    store : FeatureStore
        What is read where the waveform is not changed.
    data_folder : str
        What ``$data_root`` stands for.
    compute_features, segment : callable
        See ``FeatureStore.build``.
    seed : int
        The seed of the run.
    epoch_counter : EpochCounter
        SpeechBrain's; its ``current`` is the epoch.
    augment_waveform : Augmenter or None
        Changes waveforms, as in ``augment_speech``.
    augment_frames : Augmenter or None
        Changes frames, such as ``SpectrogramDrop`` (SpecAugment).
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
    def __call__(self, utterance):
        """Frames ``[frames, features]`` and counts ``[words]``."""
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
            ((frames, counts),) = describe(
                self.compute_features, [waveform], [words], self.segment
            )
        if self.augment_frames is not None:
            frames = _change(frames[None], self.augment_frames)[0]
        return frames, counts
