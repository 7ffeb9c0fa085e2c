"""SpeechBrain's run options, as far as they work here.

Authors
 * The speechbrain-can developers 2026
"""

import logging
import sys
from dataclasses import replace

import torch

from speechbrain.utils.autocast import AMPConfig
from speechbrain.utils.distributed import infer_device
from speechbrain_can.hparams import SettingsError

REFUSED = {
    "compile": (
        "every batch has shapes of its own, for which torch.compile compiles "
        "anew, minutes long, until it gives up and runs as without"
    ),
    "jit": "TorchScript knows no lists of words",
    "data_parallel_backend": (
        "it would cut flat frames between words; start one process a GPU with "
        "torchrun instead"
    ),
}
# What SpeechBrain says of its own work: in log.txt, and to whoever watches.
DETAILS = (
    "speechbrain.core",
    "speechbrain.utils.checkpoints",
    "speechbrain.utils.epoch_loop",
    "speechbrain.utils.quirks",
)


def check_run_options(run_opts):
    """Refuses run options that cannot work here, with a ``SettingsError``."""
    for option, reason in REFUSED.items():
        if run_opts.get(option):
            raise SettingsError(f"--{option} cannot be used: {reason}")
    device = run_opts.get("device") or infer_device()
    for option in ("precision", "eval_precision"):
        precision = run_opts.get(option)
        if not lstm_runs_in(precision, device):
            raise SettingsError(
                f"--{option}={precision} cannot be used: LSTMs do not run in it "
                f"on {device} of this machine (a CPU needs AVX-512 for bf16); "
                f"leave --{option} out, which is fp32"
            )


def lstm_runs_in(precision, device="cpu"):
    """Whether an LSTM can be trained in ``fp32``, ``fp16`` or ``bf16``.

    It depends on the processor: oneDNN, which computes LSTMs on a CPU, has each
    precision for some instruction sets only.
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


def be_brief(run_opts):
    """Where no one watches the console, an epoch is one line on it.

    Progress bars are for terminals; of SpeechBrain's details only warnings
    are left there, everything else is in ``log.txt``. Returns the run options
    for it.
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
