"""Reading of model folders without executing anything that they contain."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from hyperpyyaml import load_hyperpyyaml

from speechbrain.dataio.encoder import CategoricalEncoder
from speechbrain.utils.logger import get_logger
from speechbrain.utils.parameter_transfer import Pretrainer
from speechbrain_can.io.files import InputError, decode
from speechbrain_can.model_folder.build import build_model
from speechbrain_can.model_folder.literal import Part, UntrustedError, parse
from speechbrain_can.model_folder.parameters import (
    NETWORK,
    PACKED,
    count_stored,
    is_changed,
    load_network,
    stored_files,
)
from speechbrain_can.model_folder.statistics import (
    STATISTICS,
    ModelStatistics,
    read_statistics,
)
from speechbrain_can.settings.hparams import SETTINGS

logger = get_logger(__name__)
MODELS = Path(__file__).parents[1] / "models"
CLASSES = "label_encoder.json"
OLD_CLASSES = "label_encoder.ckpt"  # of earlier versions

# Maximum sizes in bytes
LARGEST = {
    SETTINGS: 2**16,
    CLASSES: 2**16,
    PACKED: 2**33,
    STATISTICS: 2**22,
}
OPTIONAL = (STATISTICS,)  # folders of earlier versions lack it
LONGEST_CLASS = 100  # characters

# What SpeechBrain's own loader needs. Our loader checks that it is unchanged.
FOR_SPEECHBRAIN = """\
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder {}
network: !new:torch.nn.ModuleDict
  modules: !ref <modules>
pretrainer: !new:speechbrain_can.model_folder.read.PackedPretrainer
  loadables:
    network: !ref <network>
    classes: !ref <label_encoder>
"""


def packaged(source: str | Path) -> str | Path:
    """Return the folder of a packaged model; other sources are unchanged.

    Paths and texts with a separator are never names of packaged models. Raises
    ``InputError`` for a name that is also a folder in the current folder.
    """
    folder = MODELS / str(source)
    is_name = isinstance(source, str) and folder.name == source
    if not (is_name and os.path.exists(folder / SETTINGS)):
        return source
    if os.path.exists(source):
        raise InputError(
            f"{source} is both a packaged model and a folder. Pass ./{source} for "
            "the folder, or change the current folder."
        )
    return str(folder)


def read_model(
    source: str | Path,
    overrides: dict | str | None = None,
) -> dict[str, Any]:
    """Build a model from a folder that may be untrusted.

    Each file is copied once, and only the copy is checked and used.

    Arguments
    ---------
    source : str or Path
        The folder.
    overrides : dict, str or None
        Values that replace those of the settings. They come from the caller and are
        trusted; a string is HyperPyYAML.

    Returns
    -------
    dict
        The values of ``ModelSettings``, ``label_encoder`` and ``statistics``.

    Raises
    ------
    UntrustedError
        If the settings contain more than registered parts and literals.
    InputError
        If a file is missing, damaged, or was written by an earlier version.
    """
    if "://" in str(source):
        raise UntrustedError(
            f"{source}: only folders and names on the Hugging Face hub can be loaded. "
            "Download the files of the model to a folder."
        )
    with tempfile.TemporaryDirectory() as copy:
        copy = Path(copy)
        for name, size in LARGEST.items():
            if name in OPTIONAL and not os.path.lexists(Path(source) / name):
                continue
            _copy(name, source, copy / name, size)
        place = f"{source}/{SETTINGS}"
        network_place = f"{source}/{PACKED}"
        text = decode((copy / SETTINGS).read_bytes())
        settings = _without_constants(parse(text, place), place)
        known = stored_files(copy / PACKED, network_place)
        for name in (CLASSES, STATISTICS):
            exists = (copy / name).exists()
            if name in known and not exists:
                raise InputError(
                    f"{source}/{name} is missing. Copy or write the model folder again."
                )
            if exists and is_changed(copy / name, copy / PACKED, network_place):
                raise InputError(
                    f"{source}/{name} does not match {PACKED}: it is damaged. Copy or "
                    "write the model folder again."
                )
        if isinstance(overrides, str):
            overrides = load_hyperpyyaml(overrides)
        settings = override(settings, overrides or {}, place)
        stored = count_stored(copy / PACKED, network_place)
        model = build_model(settings, stored, place)
        classes = read_classes(copy / CLASSES, f"{source}/{CLASSES}")
        if len(classes) != model["classes"]:
            raise InputError(
                f"{source} is damaged: {CLASSES} contains {len(classes)} classes, but "
                f"the model has {model['classes']}. Copy or write it again."
            )
        network = torch.nn.ModuleDict(model["modules"])
        load_network(network, copy / PACKED, network_place)
        statistics = ModelStatistics()
        if (copy / STATISTICS).exists():
            statistics = read_statistics(
                copy / STATISTICS, f"{source}/{STATISTICS}", classes
            )
        # intentionally by its owner, or by accident
        if is_changed(copy / SETTINGS, copy / PACKED, network_place):
            logger.warning("%s was modified after the model was trained", place)
    model["statistics"] = statistics
    model["label_encoder"] = CategoricalEncoder()
    model["label_encoder"].update_from_iterable(classes)
    return model


def override(
    settings: dict[str, Any], overrides: dict[str, Any], path: str | Path
) -> dict[str, Any]:
    """Return settings with some values replaced; nested mappings are merged."""
    result = dict(settings)
    for key, value in overrides.items():
        if key not in settings:
            raise InputError(
                f"{path}: no key {key} to override. The keys are "
                f"{', '.join(sorted(map(str, settings)))}."
            )
        old = settings[key]
        if isinstance(value, dict) and isinstance(old, Part):
            value = Part(
                old.kind, old.name, {**old.arguments, **value}, old.line
            )
        elif isinstance(value, dict) and isinstance(old, dict):
            value = override(old, value, path)
        result[key] = value
    return result


def read_classes(path: str | Path, name: str | Path) -> list[str]:
    """Read class names from JSON: different printable strings.

    Errors name the file as ``name``.
    """
    try:
        classes = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{name} is damaged: it is not JSON. Copy or write the model folder again."
        ) from error
    valid = isinstance(classes, list) and all(
        isinstance(each, str)
        and each.isprintable()
        and 0 < len(each) <= LONGEST_CLASS
        for each in classes
    )
    if not valid or len(set(classes)) < len(classes):
        raise InputError(
            f"{name} is damaged: it must be a list of different printable strings of "
            f"at most {LONGEST_CLASS} characters. Copy or write the model folder again."
        )
    return classes


def load_classes(label_encoder: CategoricalEncoder, path: str | Path) -> None:
    """Load class names into an encoder of labels."""
    label_encoder.update_from_iterable(read_classes(path, path))


def _without_constants(settings: dict[str, Any], path: str) -> dict[str, Any]:
    """Remove what only SpeechBrain's loader needs, after checking it."""
    constants = parse(FOR_SPEECHBRAIN, path)
    for key, value in constants.items():
        if settings.get(key, value) != value:
            raise UntrustedError(
                f"{path}: {key} is not the one that every model folder contains"
            )
    return {k: v for k, v in settings.items() if k not in constants}


def _copy(name: str, source: str | Path, copy: Path, size: int) -> None:
    """Copy a file of at most ``size`` bytes."""
    path = Path(source) / name
    _check_place(path)
    with open(path, "rb") as stream, open(copy, "wb") as target:
        while block := stream.read(2**20):
            target.write(block)
            if target.tell() > size:
                raise UntrustedError(f"{path} is larger than {size} bytes")


def _check_place(path: Path) -> None:
    """Refuse missing files, and links out of the folder except in the hub's cache."""
    folder = path.parent
    if not path.is_file():
        if (folder / OLD_CLASSES).exists():
            raise InputError(
                f"{folder} was written by an earlier version. If you trust its author, "
                "convert it: speechbrain-can convert --trust-model-code "
                f"{folder} NEW_FOLDER"
            )
        hint = (
            f" Pass {folder / 'model'}." if (folder / "model").is_dir() else ""
        )
        raise InputError(
            f"{folder} is not a model folder: it has no {path.name}.{hint}"
        )
    folder, place = folder.resolve(), path.resolve()
    blobs = folder.parents[1] / "blobs" if len(folder.parents) > 1 else folder
    if folder not in place.parents and blobs not in place.parents:
        raise UntrustedError(
            f"{path} is a link to {place}, outside its folder. If you trust its "
            "author, copy the file into the folder."
        )


class PackedPretrainer(Pretrainer):
    """``Pretrainer`` that loads a network from safetensors and classes from JSON.

    Arguments
    ---------
    **options
        Arguments of ``Pretrainer``. The loadable ``network`` is read from
        ``network.safetensors`` and ``classes`` from ``label_encoder.json``, next to
        the hparams file.

    Example
    -------
    >>> import torch
    >>> pretrainer = PackedPretrainer(loadables={"network": torch.nn.ReLU()})
    >>> sorted(pretrainer.custom_hooks)
    ['classes', 'network']
    """

    def __init__(self, **options):
        hooks = {NETWORK: load_network, "classes": load_classes}
        super().__init__(custom_hooks=hooks, **options)

    def collect_files(self, default_source=None, **options):
        """See ``Pretrainer.collect_files``."""
        paths = {
            NETWORK: f"{default_source}/{PACKED}",
            "classes": f"{default_source}/{CLASSES}",
        }
        self.add_paths(paths)
        return super().collect_files(default_source, **options)
