"""Check that a model trains, without relying on the luck of a few epochs."""

import re

import torch
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)

import speechbrain as sb
from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.corpus.prepared import Corpus
from speechbrain_can.settings.hparams import read_settings
from speechbrain_can.training.fold import Fold, set_up


def logged(output_folder, name, part="train", fold=0):
    """Return the value of every epoch that TensorBoard logged, unrounded."""
    (folder,) = output_folder.glob(f"fold_{fold}/tensorboard")
    events = EventAccumulator(str(folder)).Reload()
    return [event.value for event in events.Scalars(f"{name}/{part}")]


def assert_trained_once(log, epochs):
    """Check the log of a run that was killed once and resumed.

    The checkpoint of an epoch is saved before its line in the log, so a kill in between loses
    the line.
    """
    found = [
        int(number)
        for number in re.findall(r"^epoch: (\d+)", log.read_text(), re.M)
    ]
    assert found == sorted(set(found)) and found[-1] == epochs
    assert len(found) >= epochs - 1


def overfit_one_batch(output_folder, steps=30, **changes):
    """Train a new model of a finished run on one batch of fold 0.

    Returns the losses of all steps, and the gradients of the first step by
    parameter name (None for a parameter that the loss does not depend on).
    """
    settings = read_settings(
        output_folder / "hyperparams.yaml", {"dropout": 0.0, **changes}
    )
    fold = Fold.of(settings, Corpus.of(settings.plain()), 0)
    brain, datasets, loading = set_up(
        fold, RunOptions(device="cpu", noprogressbar=True)
    )
    brain.init_optimizers()
    brain.modules.train()
    brain.on_stage_start(sb.Stage.TRAIN, epoch=1)
    batch = next(
        iter(torch.utils.data.DataLoader(datasets["train"], **loading["test"]))
    )
    parameters = {
        name: parameter
        for name, parameter in brain.modules.named_parameters()
        if parameter.requires_grad
    }
    brain.compute_objectives(
        brain.compute_forward(batch, sb.Stage.TRAIN), batch, sb.Stage.TRAIN
    ).backward()
    gradients = {
        name: None if p.grad is None else p.grad.clone()
        for name, p in parameters.items()
    }
    brain.zero_grad()
    losses = [brain.fit_batch(batch).item() for _ in range(steps)]
    return losses, gradients
