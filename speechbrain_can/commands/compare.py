"""Trains systems on the same folds and sets them beside each other.

Authors
 * The speechbrain-can developers 2026
"""

import signal
import sys
from pathlib import Path

import click

# What this command sets for each run.
OWN_OVERRIDES = ("--seed", "--output_folder", "--prepared_folder")


def split_arguments(arguments):
    """hparams files, and what is for ``train.py``: whatever begins with --."""
    files = [Path(a) for a in arguments if not a.startswith("-")]
    others = [a for a in arguments if a.startswith("-")]
    for path in files:
        if path.suffix != ".yaml" or not path.is_file():
            raise click.BadParameter(
                f"{path} is not an hparams file; overrides are written "
                "--KEY=VALUE"
            )
    if not files:
        raise click.UsageError("give an hparams file, e.g. hparams/*.yaml")
    for argument in others:
        option = argument.partition("=")[0]
        if option in OWN_OVERRIDES:
            raise click.BadParameter(
                f"{option} is set for each run; see --seeds and --output_folder"
            )
    return files, others


def _seeds(context, parameter, text):
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not whole numbers separated by commas"
        )


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument(
    "arguments",
    metavar="HPARAMS... [--KEY=VALUE...]",
    nargs=-1,
    type=click.UNPROCESSED,
)
@click.option(
    "--output_folder",
    type=click.Path(path_type=Path),
    default=Path("results/comparison"),
    show_default=True,
    help="Tables, runs and the prepared corpus.",
)
@click.option(
    "--seeds",
    callback=_seeds,
    default="1234",
    show_default=True,
    help="Separated by commas; a fold's value is the mean over them.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Trainings side by side; on a CPU one per core is fastest.",
)
@click.option(
    "--engine",
    type=click.Choice(["processes", "ray"]),
    default="processes",
    show_default=True,
    help="What trains: a process a system, or Ray, a trial a fold (extra ray).",
)
@click.option(
    "--ray_address",
    metavar="ADDRESS",
    help="With Ray: a cluster's, or auto.  [default: Ray on this machine]",
)
@click.option(
    "--gpus_per_trial",
    type=click.FloatRange(min=0),
    default=0,
    show_default=True,
    help="With Ray: 1 gives every trial a GPU, 0.5 two trials one.",
)
def compare(
    arguments,
    output_folder,
    seeds,
    workers,
    engine,
    ray_address,
    gpus_per_trial,
):
    """Train systems on the same folds with the same seeds.

    HPARAMS are files of one recipe, e.g. hparams/*.yaml. Writes the paper's
    Tables 2 to 4, with the paired difference to can.yaml, as comparison.md,
    .csv and .tex. Started again, it goes on where it was.

    With --engine=ray a trial whose worker dies goes on from its last checkpoint on
    another one; on a cluster all folders must be seen by every machine.

    Every other --KEY=VALUE is an override or a run option for each train.py,
    e.g. --data_folder=FOLDER --fold=0.
    """
    from speechbrain_can.training.runs import check_runs, plan_runs, train_all

    files, others = split_arguments(arguments)
    # Ended politely, it ends its runs too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    runs = plan_runs(files, seeds, output_folder, others)
    check_runs(runs, output_folder)
    if ray_address and engine != "ray":
        raise click.UsageError("--ray_address is for --engine=ray")
    try:
        if engine == "ray":
            from speechbrain_can.training.ray_runs import train_all_on_ray

            failed = train_all_on_ray(
                runs, workers, ray_address, gpus_per_trial
            )
        else:
            failed = train_all(runs, workers)
    finally:
        # what is there, also where it was ended early
        _print_report(runs, output_folder)
    sys.exit(1 if failed else 0)


def _print_report(runs, output_folder):
    """Prints and writes the tables of the systems that are finished."""
    from speechbrain_can.corpus.prepare import Corpus
    from speechbrain_can.results.folds import (
        check_tables,
        collect,
        common_folds,
        load_predictions,
        runs_of_comparison,
        unequal_folds,
    )
    from speechbrain_can.results.report import (
        choose_reference,
        format_tables,
        interval_table,
        write_tables,
    )

    found = runs_of_comparison(output_folder)
    for _, _, run in found:
        check_tables(run)
    results = collect(found)
    if not len(results):
        return
    # an interrupted comparison: what all systems have so far
    for missing in unequal_folds(results).values():
        click.echo(f"Not in the tables yet: {missing}", err=True)
    results = common_folds(results)
    if not len(results):
        return
    settings = runs[0].settings.plain()
    corpus = Corpus.load(
        settings["prepared_folder"], settings["preparation"]["protocol"]
    )
    tables = format_tables(
        results,
        interval_table(load_predictions(results), corpus.speakers()),
        corpus.name,
        f"{corpus.protocol}, {len(corpus.classes)} classes",
        choose_reference(results),
    )
    write_tables(output_folder / "comparison", tables)
    click.echo(tables["md"])
    click.echo(f"The tables: {output_folder / 'comparison'}.csv, .md and .tex")
    click.echo(
        f"A page of it: speechbrain-can report {output_folder} --html=report.html"
    )
