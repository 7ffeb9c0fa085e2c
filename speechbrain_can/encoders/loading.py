"""Loading of pretrained models from Hugging Face (extra ``huggingface``).

SpeechBrain's integration loads models by a name on the hub or from a folder. Frozen
models are not part of checkpoints.
"""

import json
from pathlib import Path
from typing import Any, Callable

import torch
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError

from speechbrain_can.encoders.hub import (
    PretrainedError,
    located,
    split_revision,
)
from speechbrain_can.io.files import state_of_files

# Files in which models on the hub name code
CONFIGS = (
    "config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "processor_config.json",
)


def load_pretrained(build: Callable, source: str, save_path: str | None) -> Any:
    """Build a part that loads a pretrained model; ``build`` takes its location.

    ``source`` is a folder, a name on the hub, or ``name@revision`` with a commit,
    branch or tag. For a commit, all files are verified against their checksums.
    Models that contain code are refused.
    """
    try:
        place = located(source, save_path)
        _check_no_code(place, save_path)
        return build(place)
    except PretrainedError:
        raise
    # The hub, its cache and model classes raise many kinds of exceptions.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PretrainedError(
            f"{source!r} cannot be loaded ({reason}). Pass the name of a model on "
            "the Hugging Face hub or, without a network, a folder that "
            "save_pretrained wrote, including its tokenizer or feature extractor."
        ) from error


def _check_no_code(place: str | Path, save_path: str | None) -> None:
    """Refuse a model whose configuration names code.

    transformers would ask at a terminal whether to execute it.
    """
    if Path(place).is_dir():
        paths = sorted(Path(place).glob("*config*.json"))
    else:
        paths = filter(None, (_cached(place, n, save_path) for n in CONFIGS))
    for path in paths:
        if not Path(path).is_file():  # such as a pipe, which would block
            raise PretrainedError(f"{path} is not a regular file")
        if "auto_map" in json.loads(Path(path).read_text(encoding="utf-8")):
            raise PretrainedError(
                f"{place} cannot be loaded: {Path(path).name} names code (auto_map), "
                "which is never executed. Use a model of a type that transformers "
                "contains."
            )


def _cached(name: str, file: str, save_path: str | None) -> str | None:
    """Return a file of a model on the hub, or None if the model has no such file."""
    try:
        return hf_hub_download(name, file, cache_dir=save_path)
    except EntryNotFoundError:
        return None


def model_version(source: str, save_path: str | None) -> str | list:
    """Return the commit or file state of a model, which identifies its version."""
    if split_revision(source)[1]:
        return Path(located(source, save_path)).name
    if Path(source).is_dir():
        return state_of_files(source)
    # The hub's cache has one folder per commit.
    config = try_to_load_from_cache(source, "config.json", cache_dir=save_path)
    return Path(config).parent.name


class PretrainedModule(torch.nn.Module):
    """Container of a pretrained encoder, either trained or frozen.

    A frozen encoder moves between devices with the module, but it is not part of
    checkpoints and stays in evaluation mode. SpeechBrain's integrations would apply
    dropout in training mode.
    """

    def __init__(self, encoder, freeze):
        super().__init__()
        # Some models are published in half precision.
        encoder = encoder.float()
        self._frozen = ()
        if freeze:
            self._frozen = (encoder.eval().requires_grad_(False),)
        else:
            self.trained = encoder

    @property
    def encoder(self):
        """Return the pretrained model."""
        return self._frozen[0] if self._frozen else self.trained

    def _apply(self, function, recurse=True):
        for encoder in self._frozen:
            encoder._apply(function, recurse)
        return super()._apply(function, recurse)
