"""Features of a corpus, computed once and stored on disk.

Frames stay flat: the frames of all words one after the other, ``[frames,
features]``, and the number of frames of each word, ``[words]``."""

import copy
import hashlib
import itertools
import os
import shutil
import zlib
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from tqdm import tqdm

from speechbrain_can.audio import read_waveform
from speechbrain_can.corpus.manifest import resolve_wav
from speechbrain_can.files import InputError

FRAMES, INDEX = "frames.f32", "index.npz"
VERSION = 2  # of what is in a store


class StoreError(InputError):
    """Features that cannot be stored or were damaged; the message says which."""


class FeatureStore:
    """Features of a corpus on disk, read utterance by utterance.

    ``FeatureStore.build`` makes one. Opening it costs a few bytes a word,
    however many frames it holds; nothing that was read stays in memory. What is
    read is checked against the sum that was stored with it.

    Arguments
    ---------
    folder : str or Path
        A finished store.

    Raises
    ------
    StoreError
        If it is damaged, here or where an utterance is read.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        with self._index() as index:
            self._rows = {name: i for i, name in enumerate(index["ids"])}
            self._frame_offsets = index["frame_offsets"]
            self._word_offsets = index["word_offsets"]
            self._frame_counts = index["frame_counts"]
            self._checksums = index["checksums"]
            # read, and so checked, but not kept
            self._size = index["sums"].shape[1]
            index["squares"]

    @contextmanager
    def _index(self):
        try:
            with np.load(self.folder / INDEX) as index:
                yield index
        except PermissionError:
            raise
        # of a flipped bit zipfile and numpy raise anything
        except Exception as error:
            raise self._damage(INDEX) from error

    def _damage(self, name):
        return StoreError(
            f"{self.folder / name} is damaged; delete {self.folder}, and its "
            "features are made anew"
        )

    def __getitem__(self, utterance_id):
        """Frames ``[frames, features]`` and counts ``[words]`` by ID."""
        row = self._rows[utterance_id]
        first, last = self._frame_offsets[row : row + 2].tolist()
        # opened anew each time: many processes share a store
        frames = np.fromfile(
            self.folder / FRAMES,
            dtype=np.float32,
            count=(last - first) * self._size,
            offset=4 * first * self._size,
        )
        if zlib.crc32(frames) != self._checksums[row]:
            raise self._damage(FRAMES)
        frames = frames.reshape(-1, self._size)
        counts = self._frame_counts[slice(*self._word_offsets[row : row + 2])]
        return torch.from_numpy(frames), torch.from_numpy(counts)

    def statistics(self, ids):
        """Mean and standard deviation ``[features]`` over all their frames."""
        rows = [self._rows[utterance_id] for utterance_id in ids]
        offsets = self._frame_offsets
        n_frames = sum(offsets[row + 1] - offsets[row] for row in rows)
        with self._index() as index:
            mean = index["sums"][rows].sum(axis=0) / n_frames
            squares = index["squares"][rows].sum(axis=0)
        variance = squares / n_frames - mean**2
        std = np.sqrt(np.maximum(variance, 0))
        return torch.from_numpy(mean).float(), torch.from_numpy(std).float()

    @classmethod
    def build(
        cls,
        folder,
        utterances,
        data_folder,
        compute_features,
        segment,
        num_workers=0,
    ):
        """Opens the store of these utterances and settings, made where absent.

        ``compute_features`` maps a waveform ``[samples]`` and segments ``[segments,
        2]`` in seconds to frames ``[frames, features]`` and counts ``[segments]``
        (see ``describe`` for more that it may do); its ``repr`` tells all its
        settings. ``segment`` maps words to segments.

        The store lies in a sub-folder named after everything that its content
        depends on, so that every fold, epoch and experiment with the same
        features reads the same files. It appears only when it is complete.
        """
        store = Path(folder) / _fingerprint(
            utterances, data_folder, compute_features, segment
        )
        store.parent.mkdir(parents=True, exist_ok=True)
        # Should another run need the same store meanwhile, it waits for it.
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
                        # A model that it loads is gone with the copy.
                        copy.deepcopy(compute_features),
                        segment,
                        num_workers,
                    )
                    os.replace(scratch, store)
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
        return cls(store)


class _UtteranceFeatures(torch.utils.data.Dataset):
    """Features by batch, for the processes that compute them."""

    def __init__(self, batches, data_folder, compute_features, segment):
        self.batches = batches
        self.data_folder = data_folder
        self.compute_features = compute_features
        self.segment = segment

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        waveforms = [
            read_waveform(
                resolve_wav(utterance, self.data_folder),
                self.compute_features.sample_rate,
            )
            for utterance in self.batches[i]
        ]
        found = describe(
            self.compute_features,
            waveforms,
            [utterance.words for utterance in self.batches[i]],
            self.segment,
        )
        return [(frames.numpy(), counts.numpy()) for frames, counts in found]


def describe(compute_features, waveforms, words, segment):
    """Features of utterances, a list of frames and counts.

    Arguments
    ---------
    compute_features, segment : callable
        See ``FeatureStore.build``. What has a ``batch`` gets all at once, and
        what ``reads`` the words of each utterance beside its segments.
    waveforms : list of torch.Tensor
        Each of shape ``[samples]``.
    words : list of list of Word
        Words that tile each utterance.

    Returns
    -------
    list of (torch.Tensor, torch.Tensor)
        Frames ``[frames, features]`` and counts ``[segments]`` of each.
    """
    inputs = [waveforms, [torch.from_numpy(segment(own)) for own in words]]
    if getattr(compute_features, "reads", False):
        inputs.append([[word.text for word in own] for own in words])
    if hasattr(compute_features, "batch"):
        return compute_features.batch(*inputs)
    return [compute_features(*own) for own in zip(*inputs)]


def _batches(utterances, size):
    """Utterances in batches of about the same length; one by one in order."""
    utterances = list(utterances.values())
    if size > 1:
        utterances.sort(key=lambda utterance: utterance.duration)
    return [utterances[i : i + size] for i in range(0, len(utterances), size)]


def _write_store(
    folder, utterances, data_folder, compute_features, segment, num_workers
):
    batches = _batches(utterances, getattr(compute_features, "batch_size", 1))
    loader = torch.utils.data.DataLoader(
        _UtteranceFeatures(batches, data_folder, compute_features, segment),
        batch_size=None,
        num_workers=num_workers,
        collate_fn=_as_is,
        # A loader draws from the global generator otherwise, and training
        # would depend on whether the store was there already.
        generator=torch.Generator(),
    )
    frame_offsets, word_offsets = [0], [0]
    frame_counts, sums, squares, checksums = [], [], [], []
    in_order = [utterance for batch in batches for utterance in batch]
    with open(folder / FRAMES, "wb") as stream:
        found = itertools.chain.from_iterable(loader)
        for utterance, (frames, counts) in zip(
            in_order,
            tqdm(
                found,
                desc="features",
                unit="utterance",
                total=len(utterances),
                disable=None,
            ),
        ):
            stream.write(frames.data)
            frame_offsets.append(frame_offsets[-1] + len(frames))
            word_offsets.append(word_offsets[-1] + len(counts))
            frame_counts.append(counts)
            sums.append(frames.sum(axis=0, dtype=np.float64))
            squares.append(np.square(frames, dtype=np.float64).sum(axis=0))
            checksums.append(zlib.crc32(frames))
            if not np.isfinite(squares[-1]).all():
                raise StoreError(
                    f"{utterance.utterance_id}: the features of {utterance.wav} "
                    "are not finite numbers; mend the recording, or take it out "
                    "of the corpus"
                )
    np.savez(
        folder / INDEX,
        ids=np.array([utterance.utterance_id for utterance in in_order]),
        frame_offsets=np.array(frame_offsets),
        word_offsets=np.array(word_offsets),
        frame_counts=np.concatenate(frame_counts),
        sums=np.stack(sums),
        squares=np.stack(squares),
        checksums=np.array(checksums, dtype=np.uint32),
    )


def _as_is(example):
    return example


def _fingerprint(utterances, data_folder, compute_features, segment):
    digest = hashlib.sha256()
    function, keywords = segment, {}
    if isinstance(segment, partial):
        function, keywords = segment.func, segment.keywords
    settings = (
        f"{function.__module__}.{function.__qualname__}",
        sorted(keywords.items()),
    )
    data_root = os.path.realpath(data_folder)
    made_by = (VERSION, data_root, repr(compute_features), settings)
    digest.update(repr(made_by).encode())
    for utterance in utterances.values():
        bounds = [(word.start, word.end) for word in utterance.words]
        if getattr(compute_features, "reads", False):
            bounds.append([word.text for word in utterance.words])
        wav = resolve_wav(utterance, data_folder)
        if not os.path.isfile(wav):
            raise StoreError(
                f"{utterance.utterance_id}: its audio {wav} is gone; put it back, "
                "or prepare the corpus again"
            )
        stat = os.stat(wav)
        identity = (
            utterance.utterance_id,
            utterance.wav,
            stat.st_size,
            stat.st_mtime_ns,
        )
        digest.update(repr((identity, bounds)).encode())
    return digest.hexdigest()[:16]
