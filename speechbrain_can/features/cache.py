"""Feature cache: the features of a corpus, computed once and stored on disk.

Frames are flat: the frames of all words are concatenated, ``[frames, features]``,
with the number of frames of each word, ``[words]``.
"""

import copy
import os
import shutil
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Callable, Iterable, Iterator

import numpy as np
import torch
from filelock import FileLock
from tqdm import tqdm

from speechbrain_can.corpus.manifest import Utterance, resolve_wav
from speechbrain_can.encoders.speech import MAX_SECONDS
from speechbrain_can.features.extraction import extract_features
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.io.files import InputError
from speechbrain_can.io.integrity import checksum, fingerprint_of

FRAMES, INDEX, MEANS = "frames.f32", "index.npz", "means.npy"
VERSION = 2  # of the cache format


class CacheError(InputError):
    """Raised for features that are damaged or cannot be stored."""


class FeatureCache:
    """Feature cache that reads one utterance at a time.

    ``FeatureCache.build`` creates it. An open cache uses a few bytes of memory per
    word, regardless of the number of frames. The checksum of each utterance is
    verified on reading.

    Arguments
    ---------
    folder : str or Path
        A complete cache.

    Raises
    ------
    CacheError
        If the cache is damaged, on opening or on reading an utterance.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        with self._index() as index:
            self._rows = {name: i for i, name in enumerate(index["ids"])}
            self._frame_offsets = index["frame_offsets"]
            self._word_offsets = index["word_offsets"]
            self._frame_counts = index["frame_counts"]
            self._checksums = index["checksums"]
            # Read to verify the index, but not kept.
            self._size = index["sums"].shape[1]
            index["squares"]

    @contextmanager
    def _index(self):
        try:
            with np.load(self.folder / INDEX) as index:
                yield index
        except PermissionError:
            raise
        # Damaged archives raise many kinds of exceptions.
        except Exception as error:
            raise self._damage(INDEX) from error

    def _damage(self, name):
        return CacheError(
            f"{self.folder / name} is damaged. Delete {self.folder} to compute "
            "its features again."
        )

    def __getitem__(
        self, utterance_id: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return frames ``[frames, features]`` and frame counts ``[words]``."""
        row = self._rows[utterance_id]
        first, last = self._frame_offsets[row : row + 2].tolist()
        # Opened for each read, because processes share the cache.
        try:
            frames = np.fromfile(
                self.folder / FRAMES,
                dtype=np.float32,
                count=(last - first) * self._size,
                offset=4 * first * self._size,
            )
        except FileNotFoundError as error:
            raise self._damage(FRAMES) from error
        if checksum(frames) != self._checksums[row]:
            raise self._damage(FRAMES)
        frames = frames.reshape(-1, self._size)
        counts = self._frame_counts[slice(*self._word_offsets[row : row + 2])]
        return torch.from_numpy(frames), torch.from_numpy(counts)

    def statistics(
        self, ids: Iterable[str]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and standard deviation ``[features]`` over the frames of ``ids``."""
        rows = [self._rows[utterance_id] for utterance_id in ids]
        offsets = self._frame_offsets
        n_frames = sum(offsets[row + 1] - offsets[row] for row in rows)
        with self._index() as index:
            mean = index["sums"][rows].sum(axis=0) / n_frames
            squares = index["squares"][rows].sum(axis=0)
        variance = squares / n_frames - mean**2
        std = np.sqrt(np.maximum(variance, 0))
        return torch.from_numpy(mean).float(), torch.from_numpy(std).float()

    def means(self, ids: Iterable[str]) -> torch.Tensor:
        """Return the mean frame of each utterance, ``[utterances, features]``."""
        rows = [self._rows[utterance_id] for utterance_id in ids]
        return torch.from_numpy(self._all_means()[rows])

    def _all_means(self) -> np.ndarray:
        """Return the mean frames of all utterances, which stay on the disk."""
        path = self.folder / MEANS
        if not path.exists():
            with self._index() as index:
                sums = index["sums"]
            means = sums / np.diff(self._frame_offsets)[:, None]
            partial = path.with_suffix(f".{uuid.uuid4().hex}.npy")
            np.save(partial, means.astype(np.float32))
            os.replace(partial, path)
        return np.load(path, mmap_mode="r")

    @classmethod
    def build(
        cls,
        folder: str | Path,
        utterances: dict[str, Utterance],
        data_folder: str | Path,
        compute_features: Callable,
        segment: Callable,
        num_workers: int = 0,
        conditioning: Callable | None = None,
    ) -> "FeatureCache":
        """Open the cache of these utterances and settings, creating it if necessary.

        Arguments
        ---------
        folder : str or Path
            Folder of all caches. A sub-folder is named after a fingerprint of
            everything that determines the features, and appears once complete.
        utterances : dict of str: Utterance
            Utterances by ID.
        data_folder : str or Path
            Value of ``$data_root``.
        compute_features : callable
            Maps a waveform ``[samples]`` and segments ``[segments, 2]`` in
            seconds to frames ``[frames, features]`` and frame counts
            ``[segments]``. Its ``repr`` contains all settings. See ``extract_features``
            for optional attributes.
        segment : callable
            Maps words to segments.
        num_workers : int
            Worker processes.
        conditioning : callable or None
            See ``extract_features``. Its ``repr`` contains all settings.

        Returns
        -------
        FeatureCache
            The cache.
        """
        identity = _identity(
            utterances, data_folder, compute_features, segment, conditioning
        )
        store = Path(folder) / fingerprint_of(identity)
        store.parent.mkdir(parents=True, exist_ok=True)
        # Other runs that need the same cache wait.
        with FileLock(f"{store}.lock"):
            if not (store / INDEX).exists():
                scratch = store.with_name(f"{store.name}.partial")
                shutil.rmtree(scratch, ignore_errors=True)
                scratch.mkdir()
                try:
                    _write_store(
                        scratch,
                        utterances,
                        data_folder,
                        # Models loaded by the copy are released with it.
                        copy.deepcopy(compute_features),
                        segment,
                        num_workers,
                        conditioning,
                    )
                    # A cache without an index is incomplete.
                    shutil.rmtree(store, ignore_errors=True)
                    os.replace(scratch, store)
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
        return cls(store)


class _Recordings(torch.utils.data.Dataset):
    """Dataset of batches of recordings, which worker processes read.

    ``compute`` maps a batch and its waveforms to features. On a GPU, which worker
    processes cannot use, it is None, and items are waveforms.
    """

    def __init__(self, batches, data_folder, sample_rate, compute):
        self.batches = batches
        self.data_folder = data_folder
        self.sample_rate = sample_rate
        self.compute = compute

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        waveforms = [
            read_waveform(
                resolve_wav(utterance, self.data_folder), self.sample_rate
            )
            for utterance in self.batches[i]
        ]
        if self.compute is None:
            return waveforms
        return self.compute(self.batches[i], waveforms)


def _compute(
    compute_features: Callable,
    segment: Callable,
    conditioning: Callable | None,
    utterances: list[Utterance],
    waveforms: list[torch.Tensor],
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the frames of a batch and their counts."""
    words = [utterance.words for utterance in utterances]
    found = extract_features(
        compute_features, waveforms, words, segment, conditioning
    )
    return [(frames.numpy(), counts.numpy()) for frames, counts in found]


def _batches(
    utterances: dict[str, Utterance], size: int, seconds: float | None
) -> list[list[Utterance]]:
    """Group utterances of similar length into batches.

    They have ``size`` utterances or, with ``seconds``, as many as fit into this time
    when they are padded to the longest.
    """
    utterances = list(utterances.values())
    if size > 1 or seconds:
        utterances.sort(key=lambda utterance: utterance.duration)
    batches = []
    for utterance in utterances:
        last = batches[-1] if batches else []
        full = len(last) >= size
        if seconds:
            full = (len(last) + 1) * utterance.duration > seconds
        if full or not last:
            batches.append([])
        batches[-1].append(utterance)
    return batches


class _Writer:
    """Writes the frames of utterances and collects their index."""

    def __init__(self, stream):
        self.stream = stream
        self.ids, self.frame_offsets, self.word_offsets = [], [0], [0]
        self.frame_counts, self.sums, self.squares = [], [], []
        self.checksums = []

    def add(
        self,
        utterances: list[Utterance],
        found: list[tuple[np.ndarray, np.ndarray]],
    ) -> None:
        """Write the frames and counts of a batch."""
        for utterance, (frames, counts) in zip(utterances, found):
            self.ids.append(utterance.utterance_id)
            self.stream.write(np.ascontiguousarray(frames).data)
            self.frame_offsets.append(self.frame_offsets[-1] + len(frames))
            self.word_offsets.append(self.word_offsets[-1] + len(counts))
            self.frame_counts.append(counts)
            self.sums.append(frames.sum(axis=0, dtype=np.float64))
            self.squares.append(np.square(frames, dtype=np.float64).sum(axis=0))
            self.checksums.append(checksum(np.ascontiguousarray(frames)))
            if not np.isfinite(self.squares[-1]).all():
                raise CacheError(
                    f"{utterance.utterance_id}: the features of {utterance.wav} "
                    "are not finite. Repair the recording or remove it from the "
                    "corpus."
                )

    def index(self) -> dict[str, np.ndarray]:
        """Return the arrays of the index."""
        return {
            "ids": np.array(self.ids),
            "frame_offsets": np.array(self.frame_offsets),
            "word_offsets": np.array(self.word_offsets),
            "frame_counts": np.concatenate(self.frame_counts),
            "sums": np.stack(self.sums),
            "squares": np.stack(self.squares),
            "checksums": np.array(self.checksums, dtype=np.uint32),
        }


def _write_store(
    folder,
    utterances,
    data_folder,
    compute_features,
    segment,
    num_workers,
    conditioning,
):
    """Compute the features of all utterances and write them.

    Worker processes read the recordings and, on a CPU, compute the features. A GPU
    computes them in this process. A thread writes while the next batch is computed.
    """
    on_gpu = is_on_gpu(compute_features)
    compute = partial(_compute, compute_features, segment, conditioning)
    batches = _batches(
        utterances,
        getattr(compute_features, "batch_size", 1),
        MAX_SECONDS if on_gpu else None,
    )
    loader = torch.utils.data.DataLoader(
        _Recordings(
            batches,
            data_folder,
            compute_features.sample_rate,
            None if on_gpu else compute,
        ),
        batch_size=None,
        num_workers=num_workers,
        collate_fn=_as_is,
        # Without its own generator, the loader would consume global random
        # numbers, and training would depend on the existence of the cache.
        generator=torch.Generator(),
    )
    bar = tqdm(
        desc="features", unit="utterance", total=len(utterances), disable=None
    )
    with open(folder / FRAMES, "wb") as stream, ThreadPoolExecutor(1) as pool:
        writer, written = _Writer(stream), None
        for batch, item in zip(batches, loader):
            found = compute(batch, item) if on_gpu else item
            if written:
                written.result()
            written = pool.submit(writer.add, batch, found)
            bar.update(len(found))
        if written:
            written.result()
    bar.close()
    np.savez(folder / INDEX, **writer.index())


def is_on_gpu(compute_features: Callable) -> bool:
    """Return whether features, or parts of joined features, use a GPU."""
    parts = (compute_features, *getattr(compute_features, "parts", ()))
    devices = (getattr(part, "device", None) for part in parts)
    return any(device and device.type != "cpu" for device in devices)


def _as_is(example):
    return example


def _identity(
    utterances: dict[str, Utterance],
    data_folder: str | Path,
    compute_features: Callable,
    segment: Callable,
    conditioning: Callable | None,
) -> Iterator[tuple]:
    """Yield everything that determines the features, for their fingerprint."""
    function, keywords = segment, {}
    if isinstance(segment, partial):
        function, keywords = segment.func, segment.keywords
    settings = (
        f"{function.__module__}.{function.__qualname__}",
        sorted(keywords.items()),
    )
    data_root = os.path.realpath(data_folder)
    yield (VERSION, data_root, repr(compute_features), settings)
    if conditioning is not None:
        yield (repr(conditioning),)
    needs_words = getattr(compute_features, "needs_words", False)
    for utterance in utterances.values():
        wav = resolve_wav(utterance, data_folder)
        if not os.path.isfile(wav):
            raise CacheError(
                f"{utterance.utterance_id}: the audio file {wav} is missing. "
                "Restore it or prepare the corpus again."
            )
        stat = os.stat(wav)
        yield (
            utterance.utterance_id,
            utterance.wav,
            stat.st_size,
            stat.st_mtime_ns,
            [(word.start, word.end) for word in utterance.words],
            [word.text for word in utterance.words] if needs_words else None,
        )
