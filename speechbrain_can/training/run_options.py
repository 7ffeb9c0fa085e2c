"""SpeechBrain's run options, as far as they work here.

Authors
 * The speechbrain-can developers 2026
"""

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


def check_run_options(run_opts):
    """Refuses run options of SpeechBrain that cannot work with flat batches.

    Arguments
    ---------
    run_opts : dict
        As ``sb.parse_arguments`` gives them.

    Raises
    ------
    SettingsError
        If there is one; it says why.
    """
    for option, reason in REFUSED.items():
        if run_opts.get(option):
            raise SettingsError(f"--{option} cannot be used: {reason}")
