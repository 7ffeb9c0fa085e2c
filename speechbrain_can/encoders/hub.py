"""Models on the Hugging Face hub, optionally pinned to a revision."""

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Callable

from huggingface_hub import snapshot_download

from speechbrain_can.io.files import InputError

COMMIT = re.compile("[0-9a-f]{40}")

# Weights for frameworks other than torch
UNUSED = ["*.h5", "*.msgpack", "*.ot", "*.onnx", "*.tflite", "*.mlmodel"]


class PretrainedError(InputError):
    """Raised for unusable pretrained models; the message says what to do."""


def split_revision(source: str | Path) -> tuple[str | Path, str | None]:
    """Split ``name@revision``; existing folders and bare names have no revision.

    Example
    -------
    >>> split_revision("someone/bert@main"), split_revision("someone/bert")
    (('someone/bert', 'main'), ('someone/bert', None))
    """
    name, pinned, revision = str(source).rpartition("@")
    if not pinned or os.path.exists(source):
        return source, None
    return name, revision


def download(
    name: str, revision: str | None, cache_dir: str | None, **options
) -> str:
    """Download the torch files of a model and return their folder."""
    return snapshot_download(
        name,
        revision=revision,
        cache_dir=cache_dir,
        ignore_patterns=UNUSED,
        **options,
    )


def located(
    source: str | Path,
    save_path: str | None,
    download: Callable[..., str] = download,
) -> str | Path:
    """Return the local folder of a pinned model; other sources are unchanged.

    Arguments
    ---------
    source : str
        ``name@revision``, a name or a folder.
    save_path : str
        Cache folder of the hub.
    download : Callable
        Takes a name, ``revision`` and ``cache_dir``.

    Raises
    ------
    PretrainedError
        If the download fails or a file does not match the pinned commit.
    """
    name, revision = split_revision(source)
    if revision is None:
        return source
    try:
        folder = Path(download(name, revision=revision, cache_dir=save_path))
    # The hub and its cache raise many kinds of exceptions.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PretrainedError(
            f"{source!r} cannot be loaded ({reason}). Check that the revision "
            "exists and that the network is available, or download it first."
        ) from error
    if COMMIT.fullmatch(revision):
        if folder.name != revision:
            raise PretrainedError(
                f"{source}: the hub returned commit {folder.name} instead"
            )
        for path in sorted(folder.rglob("*")):
            _check_blob(path)
    return str(folder)


def _check_blob(path: Path) -> None:
    """Verify a file of the hub's cache against the checksum in its name."""
    # On systems without symbolic links, names carry no checksum.
    if not path.is_symlink():
        return
    blob = path.resolve()
    state = blob.stat()
    found = _checksum(blob, len(blob.name), state.st_size, state.st_mtime_ns)
    if found not in (None, blob.name):
        raise PretrainedError(
            f"{path} does not match its commit: it is damaged or was modified. "
            f"Delete {blob} to download it again."
        )


# Hash gigabytes only once while size and modification time stay the same.
@lru_cache(maxsize=None)
def _checksum(path: Path, length: int, size: int, time: int) -> str | None:
    """Return the SHA-256 of a large file, or the git blob hash of a small one."""
    if length == 64:
        digest = hashlib.sha256()
    elif length == 40:
        digest = hashlib.sha1(b"blob %d\0" % size)
    else:
        return None
    with open(path, "rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()
