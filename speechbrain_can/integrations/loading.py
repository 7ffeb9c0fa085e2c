"""Pretrained encoders from Hugging Face, pooled to words (extra
``huggingface``).

A name on the hub or a folder is all that they need; SpeechBrain's own
integration loads them. A frozen one is no part of a checkpoint: it is what its
source says.

Authors
 * The speechbrain-can developers 2026
"""

import hashlib
import re
from functools import lru_cache
from pathlib import Path

import torch
from huggingface_hub import snapshot_download, try_to_load_from_cache

from speechbrain_can.files import InputError, state_of_files

COMMIT = re.compile("[0-9a-f]{40}")
# Of other libraries than torch
UNUSED = ["*.h5", "*.msgpack", "*.ot", "*.onnx", "*.tflite", "*.mlmodel"]


class PretrainedError(InputError):
    """A pretrained model that cannot be used; the message says what to do."""


def load_pretrained(build, source, save_path):
    """Builds a part that loads a pretrained model: ``build`` takes where it is.

    ``source`` is a folder, a name on the hub, or ``name@revision``: a commit, a
    branch or a tag. Of a commit, every file is held against its checksum.
    """
    try:
        return build(located(source, save_path))
    except PretrainedError:
        raise
    # The hub, its cache and the model classes raise many kinds of errors.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PretrainedError(
            f"{source!r} cannot be loaded ({reason}). Give the name of a model "
            "on the Hugging Face hub or, where there is no network, the folder "
            "of one that save_pretrained wrote together with its tokenizer or "
            "feature extractor"
        ) from error


def located(source, save_path):
    """The folder of a model whose revision is given; other sources as they are.

    Raises ``PretrainedError`` if a file of a commit is not what it was.
    """
    name, pinned, revision = str(source).rpartition("@")
    if not pinned or Path(source).exists():
        return source
    folder = Path(
        snapshot_download(
            name, revision=revision, cache_dir=save_path, ignore_patterns=UNUSED
        )
    )
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
    if path.is_symlink() and _checksum(path, len(path.resolve().name)) not in (
        None,
        path.resolve().name,
    ):
        raise PretrainedError(
            f"{path} is not what its commit has: it is damaged, or was changed; "
            f"delete {path.resolve()} to download it again"
        )


@lru_cache(maxsize=None)
def _checksum(path, length):
    """Of large files the hub knows SHA-256, of others what git calls them."""
    if length == 64:
        digest = hashlib.sha256()
    elif length == 40:
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    else:
        return None
    with open(path, "rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def model_version(source, save_path):
    """Which one of the models of that name: it may come to mean another."""
    if "@" in str(source) and not Path(source).exists():
        return Path(located(source, save_path)).name
    if Path(source).is_dir():
        return state_of_files(source)
    # The hub's cache keeps each commit in a folder of its own.
    config = try_to_load_from_cache(source, "config.json", cache_dir=save_path)
    return Path(config).parent.name


class PretrainedModule(torch.nn.Module):
    """Holds an encoder: as a part that is trained, or frozen beside them.

    A frozen one moves between devices with the rest, but it is not saved and
    stays in evaluation: SpeechBrain's own would drop units out while it trains.
    """

    def __init__(self, encoder, freeze):
        super().__init__()
        # Some are published in half precision, which the rest is not in.
        encoder = encoder.float()
        self._frozen = ()
        if freeze:
            self._frozen = (encoder.eval().requires_grad_(False),)
        else:
            self.trained = encoder

    @property
    def encoder(self):
        """The pretrained model."""
        return self._frozen[0] if self._frozen else self.trained

    def _apply(self, function, recurse=True):
        for encoder in self._frozen:
            encoder._apply(function, recurse)
        return super()._apply(function, recurse)
