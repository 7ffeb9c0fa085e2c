"""Models by the name that they have on the Hugging Face hub, also of a revision.

Authors
 * The speechbrain-can developers 2026
"""

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from huggingface_hub import snapshot_download

from speechbrain_can.files import InputError

COMMIT = re.compile("[0-9a-f]{40}")
# Of other libraries than torch
UNUSED = ["*.h5", "*.msgpack", "*.ot", "*.onnx", "*.tflite", "*.mlmodel"]


class PretrainedError(InputError):
    """A pretrained model that cannot be used; the message says what to do."""


def split_revision(source):
    """Name and revision of ``name@revision``; None for a folder, and for no revision.

    Example
    -------
    >>> split_revision("someone/bert@main"), split_revision("someone/bert")
    (('someone/bert', 'main'), ('someone/bert', None))
    """
    name, pinned, revision = str(source).rpartition("@")
    if not pinned or Path(source).exists():
        return source, None
    return name, revision


def download(name, revision, cache_dir, **options):
    """The folder of a model of torch's; ``options`` are ``snapshot_download``'s."""
    return snapshot_download(
        name,
        revision=revision,
        cache_dir=cache_dir,
        ignore_patterns=UNUSED,
        **options,
    )


def located(source, save_path, download=download):
    """The folder of a model whose revision is given; other sources as they are.

    ``download`` takes a name, ``revision`` and ``cache_dir``. Raises
    ``PretrainedError`` if it fails, or a file of a commit is not what it was.
    """
    name, revision = split_revision(source)
    if revision is None:
        return source
    try:
        folder = Path(download(name, revision=revision, cache_dir=save_path))
    # the hub and its cache raise many kinds of errors
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PretrainedError(
            f"{source!r} cannot be loaded ({reason}); is there such a revision, and "
            "a network, or has it been downloaded before?"
        ) from error
    if COMMIT.fullmatch(revision):
        if folder.name != revision:
            raise PretrainedError(
                f"{source}: the hub gave commit {folder.name}"
            )
        for path in sorted(folder.rglob("*")):
            _check_blob(path)
    return str(folder)


def _check_blob(path):
    """Holds a file of the hub's cache against the checksum that names it."""
    # Where links cannot be made there are no names to check.
    if not path.is_symlink():
        return
    blob = path.resolve()
    state = blob.stat()
    found = _checksum(blob, len(blob.name), state.st_size, state.st_mtime_ns)
    if found not in (None, blob.name):
        raise PretrainedError(
            f"{path} is not what its commit has: it is damaged, or was changed; "
            f"delete {blob} to download it again"
        )


# once, for gigabytes, as long as size and time of the file stay
@lru_cache(maxsize=None)
def _checksum(path, length, size, time):
    """Of large files the hub knows SHA-256, of others what git calls them."""
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
