"""Checksums detect damaged bytes; fingerprints identify configurations."""

import hashlib
import zlib
from pathlib import Path
from typing import Iterable


def checksum(*parts: bytes) -> int:
    """Return the CRC-32 of concatenated bytes, without copying them.

    Example
    -------
    >>> checksum(b"so", b" what") == checksum(b"so what")
    True
    """
    total = 0
    for part in parts:
        total = zlib.crc32(part, total)
    return total


def checksum_of_file(path: str | Path) -> int:
    """Return the CRC-32 of a file."""
    return checksum(Path(path).read_bytes())


def fingerprint(*parts: object) -> str:
    """Return 16 hexadecimal digits that depend on bytes, or on the ``repr`` of values.

    Example
    -------
    >>> fingerprint("can", 0.1) == fingerprint("can", 0.2)
    False
    """
    return fingerprint_of(parts)


def fingerprint_of(parts: Iterable[object]) -> str:
    """Return the ``fingerprint`` of many values without storing them."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else repr(part).encode())
        digest.update(b"\0")  # separates parts
    return digest.hexdigest()[:16]
