"""Parameters of a network in safetensors, a format that holds numbers and no code."""

import base64
import json
import zlib
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from speechbrain.utils.logger import get_logger
from speechbrain_can.files import InputError

logger = get_logger(__name__)

NETWORK = "network"
PACKED = f"{NETWORK}.safetensors"
EXTRA = "_extra_state"  # torch's name of what a module adds to its tensors
OTHER = "other_state"  # what is no tensor, such as a vocabulary: JSON
CHECKSUM = "checksum"
BESIDE = "beside"  # sums of the files that it was written beside


def save_network(network, path, half=False, beside=()):
    """Writes a network as safetensors.

    Arguments
    ---------
    network : torch.nn.Module
        What was trained.
    path : str or Path
        The file.
    half : bool
        Whether parameters are written at half precision. Buffers, such as the
        statistics of a normalisation, stay as they are.
    beside : iterable of str
        Text files in the same folder, which ``is_changed`` knows again.

    Raises
    ------
    InputError
        If a parameter is beyond half precision.

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
        if not all(value.isfinite().all() for value in halves.values()):
            raise InputError("the parameters are beyond half precision")
        state.update(halves)
    other = {key: state.pop(key) for key in list(state) if key.endswith(EXTRA)}
    # of its own: what two parts share is not written otherwise
    tensors = {
        key: value.cpu().clone().contiguous() for key, value in state.items()
    }
    text = json.dumps(other, default=_as_text)
    sums = {name: _sum_of_text(Path(path).with_name(name)) for name in beside}
    metadata = {
        OTHER: text,
        CHECKSUM: _checksum(tensors, text),
        BESIDE: json.dumps(sums),
    }
    save_file(tensors, path, metadata)


def is_changed(file, path):
    """Whether a file is another than the one that a network was written beside."""
    with _opened(path) as network:
        sums = dict(json.loads((network.metadata() or {}).get(BESIDE, "{}")))
    return sums.get(Path(file).name) not in (None, _sum_of_text(file))


def _sum_of_text(path):
    # whatever ends its lines
    return zlib.crc32(Path(path).read_bytes().replace(b"\r\n", b"\n"))


@contextmanager
def _opened(path):
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (
        SafetensorError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
    ) as error:
        raise InputError(
            f"{path} is damaged, or of another network than its settings build: "
            f"{str(error).splitlines()[0]}. Copy the model folder once more, or make "
            "it again"
        ) from error


def load_network(network, path):
    """Reads what ``save_network`` wrote into a network in full precision.

    Raises ``InputError`` if it is no such file, or of another network.
    """
    with _opened(path) as file:
        state = {key: file.get_tensor(key) for key in file.keys()}
        metadata = file.metadata() or {}
        other = metadata.get(OTHER, "{}")
        if CHECKSUM not in metadata:
            logger.warning("%s has no checksum that tells damage", path)
        elif metadata[CHECKSUM] != _checksum(state, other):
            raise ValueError("its numbers are not those that were written")
        state.update(json.loads(other, object_hook=_as_bytes))
        network.load_state_dict(state)  # as wide as the module has it


def _checksum(tensors, other):
    """Finds damage: of the names and numbers, and of what is no tensor."""
    total = zlib.crc32(other.encode())
    for name, tensor in sorted(tensors.items()):
        total = zlib.crc32(
            f"{name} {tensor.dtype} {tensor.shape}".encode(), total
        )
        content = tensor.reshape(-1).view(torch.uint8).numpy()
        total = zlib.crc32(content, total)
    return f"{total:08x}"


def _as_text(content):
    return {"base64": base64.b64encode(content).decode()}


def _as_bytes(found):
    return (
        base64.b64decode(found["base64"]) if set(found) == {"base64"} else found
    )
