"""Models in the box, and networks in safetensors.

Authors
 * The speechbrain-can developers 2026
"""

from pathlib import Path

from speechbrain.utils.parameter_transfer import Pretrainer
from speechbrain_can.training.parameters import NETWORK, PACKED, load_network

MODELS = Path(__file__).parents[1] / "models"


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
        super().__init__(custom_hooks={NETWORK: load_network}, **options)

    def collect_files(self, default_source=None, **options):
        """See ``Pretrainer.collect_files``."""
        self.add_paths({NETWORK: f"{default_source}/{PACKED}"})
        return super().collect_files(default_source, **options)
