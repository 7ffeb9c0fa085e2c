"""The command line of a comparison.

Authors
 * The speechbrain-can developers 2026
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from speechbrain_can.files import read_json
from speechbrain_can.results.report import write_report
from speechbrain_can.training.runs import check_runs, plan_runs, train_all

# What this command sets for each run, and what all runs must agree on.
OWN_OVERRIDES = ("--seed", "--output_folder", "--prepared_folder")


def parse_arguments(arguments):
    """Reads the command line.

    Arguments
    ---------
    arguments : list of str
        Without the program's name.

    Returns
    -------
    options : argparse.Namespace
        ``hparams_files``, ``output_folder``, ``seeds`` and ``workers``.
    arguments : list of str
        What is left, for ``train.py``.
    """
    parser = argparse.ArgumentParser(
        prog="python -m speechbrain_can.commands.compare",
        usage="%(prog)s HPARAMS [HPARAMS ...] [--output_folder=FOLDER] "
        "[--seeds=S,S] [--workers=N] [--KEY=VALUE ...]",
        description="Trains systems on the same folds with the same seeds and "
        "writes the paper's Tables 2 to 4: ours, and the paired difference to "
        "can.yaml. Started again, it goes on where it was. Every other "
        "--KEY=VALUE is an override or run option for each train.py, e.g. "
        "--data_folder=FOLDER --protocol=session5 --fold=0.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "hparams_files",
        metavar="HPARAMS",
        nargs="+",
        type=Path,
        help="hparams files of a recipe, e.g. hparams/*.yaml",
    )
    parser.add_argument(
        "--output_folder",
        type=Path,
        default=Path("results/comparison"),
        help="tables, runs and the prepared corpus (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds",
        type=_seeds,
        default=[1234],
        help="separated by commas; a fold's value is the mean over them "
        "(default: 1234)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        choices=range(1, 1 + os.cpu_count()),
        metavar="N",
        default=1,
        help="systems trained side by side; on a CPU one a core is fastest "
        "(default: %(default)s)",
    )
    options, others = parser.parse_known_args(arguments)
    for path in options.hparams_files:
        if path.suffix != ".yaml" or not path.is_file():
            parser.error(
                f"{path} is not an hparams file; overrides are written "
                "--KEY=VALUE"
            )
    for argument in others:
        option = argument.partition("=")[0]
        if option in OWN_OVERRIDES:
            parser.error(
                f"{option} is set for each run; see --seeds and --output_folder"
            )
    return options, others


def _seeds(text):
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not whole numbers separated by commas"
        )


def main(arguments=None):
    """Command line of the comparison."""
    options, others = parse_arguments(
        sys.argv[1:] if arguments is None else arguments
    )
    # Ended politely, it ends its runs too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    runs = plan_runs(
        options.hparams_files, options.seeds, options.output_folder, others
    )
    check_runs(runs, options.output_folder)
    try:
        failed = train_all(runs, options.workers)
    finally:
        # what is there, also where it was ended early
        _print_report(runs, options.output_folder)
    return 1 if failed else 0


def _print_report(runs, output_folder):
    settings = runs[0].settings()
    description = Path(settings["prepared_folder"]) / "corpus.json"
    if not description.exists():
        return
    corpus = read_json(description)
    report = write_report(
        output_folder,
        corpus["corpus"],
        f"{settings['protocol']}, {len(corpus['classes'])} classes",
    )
    if report is not None:
        print(report)
        print(f"The tables: {output_folder / 'comparison'}.csv, .md and .tex")


if __name__ == "__main__":
    sys.exit(main())
