"""``speechbrain-can search``: hyper-parameter search on validation sets."""

from pathlib import Path

import click

from speechbrain_can.commands.compare import prepared_option, split_arguments
from speechbrain_can.io.console import show


def _folds(context, parameter, text):
    try:
        return [int(fold) for fold in text.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a comma-separated list of fold numbers."
        )


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument(
    "arguments",
    metavar="HPARAMS [--KEY=VALUE...]",
    nargs=-1,
    type=click.UNPROCESSED,
)
@click.option(
    "--space",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file with one line per key, such as lr: {loguniform: [0.0003, "
    "0.003]}; also choice, uniform and randint.  [default: align_weight, heads, lr, "
    "and overlap unless features are those of a pretrained encoder]",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Total number of trials.",
)
@click.option(
    "--metric",
    default="UA",
    show_default=True,
    help="Metric to maximize on the validation sets.",
)
@click.option(
    "--folds",
    callback=_folds,
    default="0",
    show_default=True,
    help="Comma-separated folds; a trial scores the mean over them.",
)
@click.option("--seed", default=1234, show_default=True)
@click.option(
    "--output-folder",
    type=click.Path(path_type=Path),
    default=Path("results/search"),
    show_default=True,
    help="Folder for trials, trials.csv and best.yaml.",
)
@prepared_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of parallel trials.",
)
@click.option(
    "--ray-address",
    metavar="ADDRESS",
    help="Address of a Ray cluster, or auto.  [default: start Ray on this "
    "machine]",
)
@click.option(
    "--gpus-per-trial",
    type=click.FloatRange(min=0),
    default=0,
    show_default=True,
    help="GPUs per trial; with 0.5, two trials share one GPU.",
)
def search(
    arguments,
    space,
    trials,
    metric,
    folds,
    seed,
    output_folder,
    prepared_folder,
    workers,
    ray_address,
    gpus_per_trial,
):
    """Search hyper-parameters on validation sets only.

    Ray Tune with Optuna (extra [ray]) runs the trials and writes the best
    configuration as best.yaml for train.py. The file lists the folds that must
    not be reported with it, because their test sets contain utterances that
    validated a trial. Run the command again with more --trials to continue a
    search.

    All other --KEY=VALUE options are passed to train.py.
    """
    files, others = split_arguments(arguments)
    if len(files) != 1:
        raise click.UsageError("Pass exactly one hparams file.")

    from speechbrain_can.experiments.ray import RayOptions
    from speechbrain_can.experiments.search import (
        SearchPlan,
        read_space,
        search as run_search,
    )

    best = run_search(
        files[0],
        SearchPlan(read_space(space, files[0]), trials, metric, folds),
        output_folder,
        seed,
        RayOptions(workers, ray_address, gpus_per_trial),
        others,
        prepared_folder,
    )
    show(best.read_text(encoding="utf-8"))
    show(f"python train.py {best}")
