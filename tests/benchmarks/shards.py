"""Read the cached features of a large corpus from the cache and from shards.

    python shards.py <store> <folder for shards>

The cache is one file that is read in random order: this is fast if it fits into memory, and
otherwise needs one disk access per utterance. Shards (WebDataset) are read sequentially
through a shuffle buffer.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
import webdataset
from measure import peak_megabytes
from tabulate import tabulate

from speechbrain_can.features.cache import FRAMES, FeatureCache

PER_SHARD = 2000  # utterances
BUFFER = 5000  # utterances in the shuffle buffer


def write_shards(store, ids, folder):
    """Write utterances in random order; return the pattern of the shards."""
    folder.mkdir(parents=True, exist_ok=True)
    pattern = str(folder / "features-%05d.tar")
    with webdataset.ShardWriter(pattern, maxcount=PER_SHARD, verbose=0) as sink:
        for i in np.random.default_rng(0).permutation(len(ids)):
            frames, counts = store[ids[i]]
            sink.write(
                {
                    "__key__": ids[i],
                    "frames.npy": frames.numpy(),
                    "counts.npy": counts.numpy(),
                }
            )
    return sorted(map(str, folder.glob("*.tar")))


def forget(paths):
    """Drop files from the page cache, as if they did not fit into memory."""
    os.sync()
    for path in paths:
        number = os.open(path, os.O_RDONLY)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(number)


def read_store(folder, ids):
    """Read every utterance of a cache in random order."""
    store = FeatureCache(folder)
    for i in np.random.default_rng(1).permutation(len(ids)):
        yield store[ids[i]]


def read_shards(paths):
    """Read every utterance of shards through a shuffle buffer."""
    dataset = (
        webdataset.WebDataset(paths, shardshuffle=len(paths), seed=1)
        .shuffle(BUFFER, initial=BUFFER)
        .decode()
        .to_tuple("frames.npy", "counts.npy")
    )
    yield from dataset


def measure(read, files, cold):
    """Return utterances and megabytes per second of reading everything once."""
    if cold:
        forget(files)
    started, utterances, size = time.perf_counter(), 0, 0
    for frames, _ in read():
        utterances += 1
        size += 4 * frames.shape[0] * frames.shape[1]
    seconds = time.perf_counter() - started
    return utterances / seconds, size / 2**20 / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with np.load(arguments.store / "index.npz") as index:
        ids = index["ids"].tolist()
    started = time.perf_counter()
    paths = write_shards(FeatureCache(arguments.store), ids, arguments.folder)
    print(f"{len(paths)} shards in {time.perf_counter() - started:.0f} s")
    frames = [str(arguments.store / FRAMES)]
    rows = []
    for name, read, files in (
        (
            "store, random order",
            lambda: read_store(arguments.store, ids),
            frames,
        ),
        ("shards, in sequence", lambda: read_shards(paths), paths),
    ):
        for cold in (True, False):
            rate, megabytes = measure(read, files, cold)
            cache = "dropped" if cold else "as it is"
            rows.append((name, cache, f"{rate:.0f}", f"{megabytes:.0f}"))
    headers = ["read", "cache", "utterances a second", "MB a second"]
    print(tabulate(rows, headers, tablefmt="github"))
    print(f"{peak_megabytes():.0f} MB at most")


if __name__ == "__main__":
    main()
