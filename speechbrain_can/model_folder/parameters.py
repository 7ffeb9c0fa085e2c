"""Network parameters in safetensors, a format that cannot contain code."""

import base64
import json
import math
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Iterable

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from speechbrain.utils.logger import get_logger
from speechbrain_can.io.files import InputError
from speechbrain_can.io.integrity import checksum

logger = get_logger(__name__)
NETWORK = "network"
PACKED = f"{NETWORK}.safetensors"
EXTRA = "_extra_state"  # suffix of torch's keys for state that is not a tensor
OTHER = "other_state"  # such state, for example vocabularies, as JSON
CHECKSUM = "checksum"
LARGEST_HEADER = 2**23  # bytes
FILES = "files"  # checksums of other files in the same folder


def save_network(
    network: torch.nn.Module,
    path: str | Path,
    half: bool = False,
    files: Iterable[str] = (),
) -> None:
    """Write a network as safetensors.

    Arguments
    ---------
    network : torch.nn.Module
        The network.
    path : str or Path
        The file.
    half : bool
        Whether to store parameters in half precision, and buffers that a module
        names in ``half_buffers``. Others, such as the mean and standard deviation
        of features, keep their precision.
    files : iterable of str
        Text files in the same folder whose changes ``is_changed`` detects.

    Raises
    ------
    InputError
        If a parameter overflows in half precision.

    Example
    -------
    >>> import torch
    >>> path = getfixture("tmpdir") / "network.safetensors"
    >>> network, copy = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    >>> save_network(network, path)
    >>> load_network(copy, path)
    >>> bool((network.weight == copy.weight).all())
    True
    """
    state = network.state_dict()
    if half:
        halves = {k: v.detach().half() for k, v in network.named_parameters()}
        for name, module in network.named_modules():
            for buffer in getattr(module, "half_buffers", ()):
                halves[f"{name}.{buffer}"] = getattr(module, buffer).half()
        if not all(value.isfinite().all() for value in halves.values()):
            raise InputError("the parameters overflow in half precision")
        state.update(halves)
    other = {key: state.pop(key) for key in list(state) if key.endswith(EXTRA)}
    # safetensors does not store tensors that share memory
    tensors = {
        key: value.cpu().clone().contiguous() for key, value in state.items()
    }
    text = json.dumps(other, default=_as_text)
    sums = {name: _sum_of_text(Path(path).with_name(name)) for name in files}
    metadata = {
        OTHER: text,
        CHECKSUM: _checksum(tensors, text),
        FILES: json.dumps(sums),
    }
    save_file(tensors, path, metadata)


def update_checksums(path: str | Path, files: Iterable[str]) -> None:
    """Store the checksums of files next to a network again, and no others."""
    with _opened(path) as network:
        metadata = dict(network.metadata())
        tensors = {key: network.get_tensor(key) for key in network.keys()}
    sums = {name: _sum_of_text(Path(path).with_name(name)) for name in files}
    partial = Path(f"{path}.partial")
    save_file(tensors, partial, {**metadata, FILES: json.dumps(sums)})
    # safetensors creates files that only their owner can read
    shutil.copymode(path, partial)
    os.replace(partial, path)


def stored_files(path: str | Path, name: str | Path | None = None) -> set[str]:
    """Return the names of the files whose checksums are stored with a network."""
    with _opened(path, name) as network:
        return set(json.loads((network.metadata() or {}).get(FILES, "{}")))


def is_changed(
    file: str | Path, path: str | Path, name: str | Path | None = None
) -> bool:
    """Return whether a file differs from the one stored with a network."""
    with _opened(path, name) as network:
        sums = dict(json.loads((network.metadata() or {}).get(FILES, "{}")))
    return sums.get(Path(file).name) not in (None, _sum_of_text(file))


def _sum_of_text(path):
    # ignore differences of line endings
    return checksum(Path(path).read_bytes().replace(b"\r\n", b"\n"))


@contextmanager
def _opened(path, name=None):
    try:
        _check_header(path)
        with safe_open(path, framework="pt") as file:
            yield file
    except (
        SafetensorError,
        AttributeError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
    ) as error:
        raise InputError(
            f"{name or path} is damaged or does not match its settings: "
            f"{' '.join(str(error).split())[:300]}. Copy or write the model folder "
            "again."
        ) from error


def _check_header(path: str | Path) -> None:
    """Refuse headers, which contain vocabularies, of an implausible size."""
    with open(path, "rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
    if size > LARGEST_HEADER:
        raise ValueError(f"the header has {size} bytes")


def count_stored(path: str | Path, name: str | Path) -> int:
    """Return the number of stored values; errors name the file as ``name``."""
    with _opened(path, name) as file:
        shapes = [file.get_slice(key).get_shape() for key in file.keys()]
    return sum(map(math.prod, shapes))


def is_half(path: str | Path) -> bool:
    """Return whether ``save_network`` stored parameters in half precision."""
    with _opened(path) as file:
        return any(
            file.get_slice(key).get_dtype() == "F16" for key in file.keys()
        )


def load_network(
    network: torch.nn.Module, path: str | Path, name: str | Path | None = None
) -> None:
    """Load parameters that ``save_network`` wrote, in the precision of the network.

    Raises ``InputError`` if the file is damaged or belongs to another network. Errors
    name the file as ``name``, by default its path.
    """
    with _opened(path, name) as file:
        state = {key: file.get_tensor(key) for key in file.keys()}
        metadata = file.metadata() or {}
        other = metadata.get(OTHER, "{}")
        if CHECKSUM not in metadata:
            logger.warning(
                "%s has no checksum, so damage cannot be detected", name or path
            )
        elif metadata[CHECKSUM] != _checksum(state, other):
            raise ValueError("wrong checksum")
        state.update(json.loads(other, object_hook=_as_bytes))
        network.load_state_dict(state)  # converts to the module's precision


def _checksum(tensors: dict[str, torch.Tensor], other: str) -> str:
    """Return a checksum of names and values of tensors and of other state."""
    parts = [other.encode()]
    for name, tensor in sorted(tensors.items()):
        parts.append(f"{name} {tensor.dtype} {tensor.shape}".encode())
        parts.append(tensor.reshape(-1).view(torch.uint8).numpy())
    return f"{checksum(*parts):08x}"


def _as_text(content):
    return {"base64": base64.b64encode(content).decode()}


def _as_bytes(found):
    return (
        base64.b64decode(found["base64"]) if set(found) == {"base64"} else found
    )
