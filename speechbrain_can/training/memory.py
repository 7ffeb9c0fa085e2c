"""Memory settings for training on a CPU."""

import ctypes
import os
import sys

# oneDNN caches primitives for the last 1,024 shapes. Our batches rarely repeat a
# shape, so that the cache (0.1 MB per entry) grows without saving time.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")

# Constants of glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> None:
    """Reuse freed memory for the next batch (glibc on Linux).

    By default, glibc returns large blocks to the system, which clears their pages
    when the next batch requests them. This takes a fifth of the training time on
    a CPU.
    """
    mallopt = sys.platform == "linux" and getattr(
        ctypes.CDLL(None), "mallopt", None
    )
    if mallopt:
        for option, value in (
            # some releases accept only the first value
            (M_MMAP_THRESHOLD, 2**25),
            (M_MMAP_THRESHOLD, 2**30),
            (M_TRIM_THRESHOLD, 2**31 - 1),
            (M_TOP_PAD, 2**26),
        ):
            mallopt(option, value)
