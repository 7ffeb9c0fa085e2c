"""Packaged models and network parameters in safetensors."""

from pathlib import Path

from speechbrain.utils.parameter_transfer import Pretrainer
from speechbrain_can.model_folder.parameters import (
    NETWORK,
    PACKED,
    load_network,
)

MODELS = Path(__file__).parents[1] / "models"


def packaged(source: str | Path) -> str | Path:
    """Return the folder of a packaged model, or the source if the name is unknown."""
    folder = MODELS / str(source)
    known = folder.parent == MODELS and (folder / "hyperparams.yaml").exists()
    return str(folder) if known else source


class PackedPretrainer(Pretrainer):
    """``Pretrainer`` that loads the network from safetensors.

    Arguments
    ---------
    **options
        Arguments of ``Pretrainer``. The loadable ``network`` is read from
        ``network.safetensors`` next to the hparams file.

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
