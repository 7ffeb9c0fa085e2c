"""Networks in safetensors, a format that holds numbers and no code; models in the box.

Authors
 * The speechbrain-can developers 2026
"""

import base64
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from speechbrain.utils.parameter_transfer import Pretrainer
from speechbrain_can.files import InputError

PACKED = "network.safetensors"
MODELS = Path(__file__).parents[1] / "models"
EXTRA = "_extra_state"  # torch's name of what a module adds to its tensors
OTHER = "other_state"  # what is no tensor, such as a vocabulary: JSON


def packaged(source):
    """The folder of a model that comes with the package, by its name."""
    folder = MODELS / str(source)
    known = folder.parent == MODELS and (folder / "hyperparams.yaml").exists()
    return str(folder) if known else source


class PackedPretrainer(Pretrainer):
    """A ``Pretrainer`` whose network is in safetensors.

    Arguments
    ---------
    **options
        As for ``Pretrainer``; of the loadables, ``network`` is read from
        ``network.safetensors`` beside the hparams file.

    Example
    -------
    >>> import torch
    >>> pretrainer = PackedPretrainer(loadables={"network": torch.nn.ReLU()})
    >>> list(pretrainer.custom_hooks)
    ['network']
    """

    def __init__(self, **options):
        super().__init__(custom_hooks={"network": load_network}, **options)

    def collect_files(self, default_source=None, **options):
        """See ``Pretrainer.collect_files``."""
        self.add_paths({"network": f"{default_source}/{PACKED}"})
        return super().collect_files(default_source, **options)


def save_network(network, path, half=False):
    """Writes a network as safetensors, with ``half`` its parameters at half precision.

    Buffers, such as the statistics of a normalisation, stay as they are.

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
    save_file(tensors, path, {OTHER: json.dumps(other, default=_as_text)})


def load_network(network, path):
    """Reads what ``save_network`` wrote into a network in full precision.

    Raises ``InputError`` if it is no such file, or of another network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}
            other = (file.metadata() or {}).get(OTHER, "{}")
        state.update(json.loads(other, object_hook=_as_bytes))
        network.load_state_dict(state)  # as wide as the module has it
    except (
        SafetensorError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
    ) as error:
        raise InputError(
            f"{path} is damaged, or of another network than its settings build: "
            f"{str(error).splitlines()[0]}"
        ) from error


def _as_text(content):
    return {"base64": base64.b64encode(content).decode()}


def _as_bytes(found):
    return (
        base64.b64decode(found["base64"]) if set(found) == {"base64"} else found
    )
