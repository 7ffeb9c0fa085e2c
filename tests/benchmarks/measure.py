"""Measurement helpers: medians, fixed threads, peak memory."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.benchmark import Timer

HOP = 0.01  # seconds per frame


class Row(NamedTuple):
    """One measurement.

    Arguments
    ---------
    group : str
        Cases of one group do the same work.
    case : str
        Name of the implementation.
    seconds : float
        Median time.
    audio : float
        Seconds of audio that are processed.
    """

    group: str
    case: str
    seconds: float
    audio: float


def median_seconds(function, threads, min_run_time):
    """Return the median time of a call, by ``torch.utils.benchmark``.

    Calls are repeated for at least ``min_run_time`` seconds.
    """
    timer = Timer(
        "function()", globals={"function": function}, num_threads=threads
    )
    return timer.blocked_autorange(min_run_time=min_run_time).median


def draw_lengths(utterances, seed=0):
    """Draw numbers of words and frames that follow IEMOCAP.

    An utterance has 9.5 words on average, and a word, including its share of pauses, 44
    frames. Both distributions have long tails (the longest of 610 words has 258 frames).
    """
    generator = np.random.default_rng(seed)
    words = generator.lognormal(np.log(9.5) - 0.32, 0.8, utterances)
    word_counts = words.round().astype(int).clip(1, 60)
    frames = generator.lognormal(np.log(44) - 0.28, 0.75, word_counts.sum())
    return word_counts, frames.round().astype(int).clip(3, 258)


def draw_segments(frame_counts):
    """Return the times of consecutive words.

    Returns start and end of each word in seconds, ``[words, 2]``.
    """
    ends = np.cumsum(frame_counts) * HOP
    return torch.from_numpy(np.stack([ends - frame_counts * HOP, ends], axis=1))


def in_process_of_its_own(script, *arguments):
    """Run a script of this folder that prints JSON in its own process, to measure its memory."""
    printed = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return json.loads(printed.splitlines()[-1])


def peak_megabytes():
    """Return the peak resident memory of this process (Linux).

    ``ru_maxrss`` is not suitable, because children inherit the value of their parent.
    """
    status = Path("/proc/self/status").read_text()
    (line,) = (x for x in status.splitlines() if x.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


class Effort:
    """Wall time of a block, and the processor time of all processes."""

    def __enter__(self):
        self._cpu, self._wall = _cpu_seconds(), time.perf_counter()
        return self

    def __exit__(self, *_):
        self.wall = time.perf_counter() - self._wall
        self.cores = (_cpu_seconds() - self._cpu) / self.wall


def _cpu_seconds():
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(
            resource.getrusage,
            (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN),
        )
    )
