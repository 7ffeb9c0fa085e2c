"""Models in the box: packed ones that come with the package.

Authors
 * The speechbrain-can developers 2026
"""

from pathlib import Path

from speechbrain.utils.parameter_transfer import Pretrainer

PACKED = "network.safetensors"
MODELS = Path(__file__).parents[1] / "models"


def packaged(source):
    """The folder of a model that comes with the package, by its name."""
    folder = MODELS / str(source)
    known = folder.parent == MODELS and (folder / "hyperparams.yaml").exists()
    return str(folder) if known else source


class PackedPretrainer(Pretrainer):
    """A ``Pretrainer`` whose network is in half precision, in safetensors.

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
        super().__init__(custom_hooks={"network": load_half}, **options)

    def collect_files(self, default_source=None, **options):
        """See ``Pretrainer.collect_files``."""
        self.add_paths({"network": f"{default_source}/{PACKED}"})
        return super().collect_files(default_source, **options)


def load_half(network, path):
    """Loads parameters in half precision into a module in full precision."""
    from safetensors.torch import load_file

    network.load_state_dict(load_file(path))  # as wide as the module has it
