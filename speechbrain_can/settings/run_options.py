"""Validation of SpeechBrain's run options."""

import logging
import os
import sys
from dataclasses import replace
from typing import Any, Callable

import torch

from speechbrain.utils.autocast import AMPConfig
from speechbrain.utils.distributed import infer_device
from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.metrics.dimensions import CCC
from speechbrain_can.metrics.metrics import METRICS
from speechbrain_can.settings.hparams import SettingsError

REFUSED = {
    "compile": (
        "the shapes of all batches differ, so torch.compile would recompile for "
        "minutes and then fall back to eager mode"
    ),
    "jit": "TorchScript does not support lists of words",
    "data_parallel_backend": (
        "it would split frames in the middle of words. Start one process per GPU "
        "with torchrun instead"
    ),
}

# Loggers of SpeechBrain whose details go to log.txt only
DETAILS = (
    "speechbrain.core",
    "speechbrain.utils.checkpoints",
    "speechbrain.utils.epoch_loop",
    "speechbrain.utils.quirks",
)


def check_device(device: str) -> None:
    """Raise a ``SettingsError`` for a device that this machine does not have."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(
            f"device {device} cannot be used: {reason}"
        ) from error


def choose_device(device: str) -> str:
    """Return a device, or for ``auto`` the one that SpeechBrain would choose."""
    if device != "auto":
        return device
    device = infer_device()
    return "cuda:0" if device == "cuda" else device


def check_run_options(run_opts: RunOptions, hparams: dict) -> None:
    """Raise a ``SettingsError`` for run options that are not supported.

    Run options come from the command line or, with lower priority, from hparams.
    """

    def value(option):
        given = option in run_opts.overridden_args
        return run_opts[option] if given else hparams.get(option)

    for option, reason in REFUSED.items():
        if value(option):
            raise SettingsError(f"--{option} is not supported: {reason}.")
    _check_intervals(value)
    device = value("device") or infer_device()
    check_device(device)
    for option, precision in (
        ("precision", value("precision")),
        ("eval_precision", value("eval_precision")),
        ("auto_mix_prec", value("auto_mix_prec") and "fp16"),
        ("bfloat16_mix_prec", value("bfloat16_mix_prec") and "bf16"),
    ):
        if not lstm_runs_in(precision or "fp32", device):
            raise SettingsError(
                f"--{option} is not supported: LSTMs do not run in {precision} on "
                f"{device} of this machine (bf16 needs a CPU with AVX-512). Omit "
                f"--{option} to use fp32."
            )
    metrics = [*METRICS, *([CCC] if hparams.get("dimensions") else [])]
    if hparams["stop_on"] not in metrics:
        raise SettingsError(
            f"invalid value stop_on={hparams['stop_on']!r}. Choose one of "
            f"{', '.join(metrics)}."
        )


def _check_intervals(value: Callable[[str], Any]) -> None:
    """Refuse checkpoints within an epoch that could not resume exactly."""
    steps, minutes = (
        value(f"ckpt_interval_{unit}") or 0 for unit in ("steps", "minutes")
    )
    if steps <= 0 and minutes <= 0:
        return
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # set by torchrun
        raise SettingsError(
            "--ckpt_interval_steps and --ckpt_interval_minutes are not supported with "
            "several processes: a checkpoint contains the random numbers of one. Omit "
            "them; each epoch ends with a checkpoint."
        )
    factor = value("grad_accumulation_factor") or 1
    if factor > 1 and (minutes > 0 or steps % factor):
        raise SettingsError(
            f"with --grad_accumulation_factor={factor}, --ckpt_interval_steps must be "
            "a multiple of it and --ckpt_interval_minutes is not supported, because "
            "checkpoints contain no gradients."
        )


def lstm_runs_in(precision: str, device: str = "cpu") -> bool:
    """Return whether an LSTM can be trained in ``fp32``, ``fp16`` or ``bf16``.

    On a CPU, oneDNN supports each precision only with certain instruction sets.
    """
    dtype = AMPConfig.from_name(precision).dtype
    if dtype == torch.float32:
        return True
    kind = torch.device(device).type
    lstm = torch.nn.LSTM(2, 2).to(device)
    try:
        with torch.autocast(kind, dtype=dtype):
            hidden, _ = lstm(torch.zeros(3, 1, 2, device=device))
        hidden.float().sum().backward()
    except RuntimeError:
        return False
    return True


def reduce_console_output(run_opts: RunOptions) -> RunOptions:
    """Return run options without progress bars unless stderr is a terminal.

    Without a terminal, the console also shows only warnings of SpeechBrain;
    ``log.txt`` contains everything.
    """
    if sys.stderr.isatty():
        return run_opts
    for handler in logging.getLogger().handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(_is_no_detail)
    return replace(
        run_opts,
        noprogressbar=True,
        overridden_args=run_opts.overridden_args | {"noprogressbar"},
    )


def _is_no_detail(record):
    return record.levelno > logging.INFO or not record.name.startswith(DETAILS)
