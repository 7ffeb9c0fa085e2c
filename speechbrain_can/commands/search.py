"""Searches hyper-parameters on validation sets.

Authors
 * The speechbrain-can developers 2026
"""

from pathlib import Path

import click

from speechbrain_can.commands.compare import split_arguments


def _folds(context, parameter, text):
    try:
        return [int(fold) for fold in text.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not numbers of folds separated by commas"
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
    help="YAML, a line as lr: {loguniform: [0.0003, 0.003]} for each key; choice, "
    "uniform, loguniform or randint.  [default: align_weight, overlap, heads, lr]",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="The budget: sets of values that are tried in all.",
)
@click.option(
    "--metric",
    default="UA",
    show_default=True,
    help="Of the validation sets.",
)
@click.option(
    "--folds",
    callback=_folds,
    default="0",
    show_default=True,
    help="Separated by commas; a trial is worth the mean over them.",
)
@click.option("--seed", default=1234, show_default=True)
@click.option(
    "--output_folder",
    type=click.Path(path_type=Path),
    default=Path("results/search"),
    show_default=True,
    help="Trials, trials.csv and best.yaml.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Trials side by side.",
)
@click.option(
    "--ray_address",
    metavar="ADDRESS",
    help="A Ray cluster's, or auto.  [default: Ray on this machine]",
)
@click.option(
    "--gpus_per_trial",
    type=click.FloatRange(min=0),
    default=0,
    show_default=True,
    help="1 gives every trial a GPU, 0.5 two trials one.",
)
def search(
    arguments,
    space,
    trials,
    metric,
    folds,
    seed,
    output_folder,
    workers,
    ray_address,
    gpus_per_trial,
):
    """Search hyper-parameters of a system on validation sets alone.

    Ray Tune with Optuna (extra ray) tries values, and writes the best as best.yaml,
    which train.py takes, with the folds that may be reported with it: what validates
    in one fold is tested in another. Started again with more --trials it goes on.

    Every other --KEY=VALUE is an override or a run option for each train.py.
    """
    files, others = split_arguments(arguments)
    if len(files) != 1:
        raise click.UsageError("give one hparams file")

    from speechbrain_can.training.search import (
        read_space,
        search as run_search,
    )

    best = run_search(
        files[0],
        read_space(space, files[0]),
        output_folder,
        trials,
        metric,
        folds,
        seed,
        workers,
        others,
        ray_address,
        gpus_per_trial,
    )
    click.echo(best.read_text(encoding="utf-8"))
    click.echo(f"python train.py {best}")
