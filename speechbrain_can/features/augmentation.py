"""Data augmentation with SpeechBrain's ``Augmenter``.

Augmented waveforms are read, augmented and converted to features whenever they are
used, or a fixed number of augmented copies of each recording is cached.
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


class AugmentedCopy:
    """Augmentation that is the same whenever a recording is read, for feature caches.

    Used as ``conditioning`` of ``FeatureCache.build``. Random numbers depend on the
    recording and on the number of the copy only.

    Arguments
    ---------
    augment : Augmenter
        Augmenter of waveforms; see ``augment_speech``.
    settings : str
        Settings of the augmenter, which identify cached features.
    number : int
        Number of the copy.
    conditioning : callable or None
        Applied to the augmented waveform; see ``extract_features``.
    """

    def __init__(self, augment, settings, number, conditioning=None):
        self.augment = augment
        self.settings = settings
        self.number = number
        self.conditioning = conditioning

    def __repr__(self):
        return (
            f"AugmentedCopy({self.settings}, {self.number}, "
            f"{self.conditioning!r})"
        )

    def __call__(
        self, waveform: torch.Tensor, words: Sequence[Word]
    ) -> tuple[torch.Tensor, Sequence[Word]]:
        """Augment and condition a waveform ``[samples]`` and its words."""
        key = f"{self.number} {checksum(waveform.numpy())}"
        with drawn_from(key), one_thread():
            waveform, words = augment_speech(waveform, words, self.augment)
            if self.conditioning is not None:
                waveform, words = self.conditioning(waveform, words)
        return waveform, words


class TelephoneBand(torch.nn.Module):
    """Restrict audio to the band of a telephone, 300 to 3400 Hz.

    Arguments
    ---------
    sample_rate : int
        Sample rate in Hz.

    Example
    -------
    >>> TelephoneBand()(torch.randn(1, 16000)).shape
    torch.Size([1, 16000])
    """

    BAND = 300.0, 3400.0  # Hz, ITU-T G.712

    def __init__(self, sample_rate: int = 16000):
        super().__init__()
        self.sample_rate = sample_rate

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Filter waveforms ``[batch, samples]``."""
        spectrum = torch.fft.rfft(waveforms)
        n_samples = waveforms.shape[1]
        hertz = torch.fft.rfftfreq(n_samples, 1 / self.sample_rate)
        inside = (hertz >= self.BAND[0]) & (hertz <= self.BAND[1])
        return torch.fft.irfft(spectrum * inside, n=n_samples)


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
    conditioning : callable or None
        See ``extract_features``; applied to augmented waveforms.
    copies : list of FeatureCache
        Caches of augmented copies. If there are any, one of them or ``store`` is
        drawn, and waveforms are not augmented again.
    offsets : callable or None
        Maps an utterance ID and the number of the drawn cache to an offset that is
        subtracted from the frames, such as ``DrawnOffsets``.
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
        conditioning=None,
        copies=(),
        offsets=None,
    ):
        self.data_folder = data_folder
        self.compute_features = compute_features
        self.segment = segment
        self.seed = seed
        self.epoch_counter = epoch_counter
        self.augment_waveform = augment_waveform
        self.augment_frames = augment_frames
        self.conditioning = conditioning
        self.stores = [store, *copies]
        self.offsets = offsets

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
        name, number = utterance.utterance_id, 0
        if self.augment_waveform is None or len(self.stores) > 1:
            if len(self.stores) > 1:
                number = int(torch.randint(len(self.stores), ()))
            frames, counts = self.stores[number][name]
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
                self.compute_features,
                [waveform],
                [words],
                self.segment,
                self.conditioning,
            )
        if self.offsets is not None:
            frames = frames - self.offsets(name, number)
        if self.augment_frames is not None:
            frames = _change(frames[None], self.augment_frames)[0]
        return frames, counts
