"""Ensembles: one model folder with the networks of several."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Sequence

import torch

from speechbrain_can.io.files import InputError
from speechbrain_can.lobes.network import Ensemble
from speechbrain_can.metrics.conformal import Scores
from speechbrain_can.model_folder.literal import Part, Reference, dump, parse
from speechbrain_can.model_folder.parts import OURS, PRETRAINED
from speechbrain_can.model_folder.read import FOR_SPEECHBRAIN, read_model
from speechbrain_can.model_folder.statistics import ModelStatistics
from speechbrain_can.model_folder.write import (
    CARD_HEAD,
    MODEL,
    write_model_folder,
)
from speechbrain_can.settings.hparams import SETTINGS

ENSEMBLE = f"{OURS}lobes.network.Ensemble"


def ensemble_settings(text: str, size: int, temperature: float) -> str:
    """Return the settings of an ensemble of ``size`` models with these settings.

    Members share pretrained parts, which are loaded once.
    """
    settings = parse(text.replace(FOR_SPEECHBRAIN, ""), SETTINGS)
    modules = dict(settings["modules"])
    member = modules["model"]
    if isinstance(member, Reference):
        member = settings.pop(member.name)
    shared = {}
    member = _with_shared_parts(member, shared)
    modules["model"] = Part("new", ENSEMBLE, {"members": [member] * size})
    settings |= {"modules": modules, "temperature": temperature}
    return (
        f"# yamllint disable\n{dump({**shared, **settings})}{FOR_SPEECHBRAIN}"
    )


def _with_shared_parts(value: Any, shared: dict[str, Part]) -> Any:
    """Move pretrained parts to top-level keys, and refer to them."""
    if isinstance(value, dict):
        return {k: _with_shared_parts(v, shared) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_shared_parts(each, shared) for each in value]
    if not isinstance(value, Part):
        return value
    arguments = _with_shared_parts(value.arguments, shared)
    part = replace(value, arguments=arguments)
    if not part.name.startswith(PRETRAINED) or part.kind != "new":
        return part
    name = f"pretrained_part_{len(shared)}"
    shared[name] = part
    return Reference(name)


def combined_modules(
    modules: Sequence[dict[str, torch.nn.Module]],
) -> dict[str, torch.nn.Module]:
    """Return the modules of an ensemble.

    Raises ``InputError`` if the models normalize features differently, because they
    were trained on different recordings.
    """
    first = modules[0]["normalize"].state_dict()
    for other in modules[1:]:
        state = other["normalize"].state_dict()
        equal = state.keys() == first.keys() and all(
            torch.allclose(state[key], first[key], atol=1e-6) for key in first
        )
        if not equal:
            raise InputError(
                "the models of an ensemble must be trained on the same recordings, "
                "but their normalization differs"
            )
    return {
        "normalize": modules[0]["normalize"],
        "model": Ensemble([each["model"] for each in modules]),
    }


def write_ensemble(
    folders: Sequence[str | Path],
    output: str | Path,
    temperature: float,
    title: str,
    conformal: Scores,
) -> None:
    """Write a model folder with the networks of several, and the mean of their outputs.

    ``conformal`` contains the nonconformity scores of the mean.
    Raises ``InputError`` if their settings differ other than in the temperature, or
    if they were trained on different recordings.
    """
    texts = [
        ensemble_settings(
            (Path(folder) / SETTINGS).read_text(encoding="utf-8"),
            len(folders),
            temperature,
        )
        for folder in folders
    ]
    for folder, text in zip(folders, texts):
        if text != texts[0]:
            raise InputError(
                f"{folder} and {folders[0]} have different settings and cannot form "
                "an ensemble"
            )
    models = [read_model(folder) for folder in folders]
    encoder = models[0]["label_encoder"]
    classes = [encoder.ind2lab[i] for i in range(len(encoder))]
    card = CARD_HEAD.format(
        license="", title=title, source=MODEL, classes=", ".join(classes)
    )
    write_model_folder(
        output,
        texts[0],
        classes,
        f"{card}\nMean of {len(folders)} networks, temperature {temperature:.3f}.\n",
        combined_modules([each["modules"] for each in models]),
        # Members have the same training set.
        statistics=ModelStatistics(
            conformal=conformal, ranges=models[0]["statistics"].ranges
        ),
    )
