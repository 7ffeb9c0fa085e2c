"""SpeechBrain's run options, as far as they work here."""

import logging
import sys
from dataclasses import replace

import torch

from speechbrain.utils.autocast import AMPConfig
from speechbrain.utils.distributed import infer_device
from speechbrain_can.hparams import SettingsError
from speechbrain_can.results.metrics import METRICS

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


def check_run_options(run_opts, hparams):
    """Refuses, with a ``SettingsError``, options that cannot work here.

    A run option stands on the command line or, second to it, in the hparams.
    """

    def value(option):
        given = option in run_opts.overridden_args
        return run_opts[option] if given else hparams.get(option)

    for option, reason in REFUSED.items():
        if value(option):
            raise SettingsError(f"--{option} cannot be used: {reason}")
    device = value("device") or infer_device()
    for option, precision in (
        ("precision", value("precision")),
        ("eval_precision", value("eval_precision")),
        ("auto_mix_prec", value("auto_mix_prec") and "fp16"),
        ("bfloat16_mix_prec", value("bfloat16_mix_prec") and "bf16"),
    ):
        if not lstm_runs_in(precision or "fp32", device):
            raise SettingsError(
                f"--{option} cannot be used: LSTMs do not run in {precision} on "
                f"{device} of this machine (a CPU needs AVX-512 for bf16); "
                f"leave --{option} out, which is fp32"
            )
    if hparams["stop_on"] not in METRICS:
        raise SettingsError(
            f"stop_on is {hparams['stop_on']!r}; choose one of "
            f"{', '.join(METRICS)}"
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
