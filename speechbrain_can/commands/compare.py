"""``speechbrain-can compare``: train several systems on the same folds."""

import signal
import sys
from pathlib import Path
from typing import Sequence

import click

from speechbrain_can.io.console import show

# Overrides that this command sets for each run
OWN_OVERRIDES = ("--seed", "--output_folder")

prepared_option = click.option(
    "--prepared-folder",
    "--prepared_folder",
    type=click.Path(path_type=Path),
    help="Folder of the prepared corpus, such as that of another run, whose aligned "
    "words are used again.  [default: prepared in the output folder]",
)


def split_arguments(arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Split arguments into hparams files and overrides, which begin with ``--``."""
    files = [Path(a) for a in arguments if not a.startswith("-")]
    others = [a for a in arguments if a.startswith("-")]
    for path in files:
        if path.suffix != ".yaml" or not path.is_file():
            raise click.BadParameter(
                f"{path} is not an hparams file. Write overrides as "
                "--KEY=VALUE."
            )
    if not files:
        raise click.UsageError("Pass an hparams file, e.g. hparams/*.yaml.")
    for argument in others:
        option = argument.partition("=")[0]
        if option in OWN_OVERRIDES:
            raise click.BadParameter(
                f"{option} is set by this command. Use --seeds and "
                "--output-folder."
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
    "--output-folder",
    type=click.Path(path_type=Path),
    default=Path("results/comparison"),
    show_default=True,
    help="Folder for tables, runs and the prepared corpus.",
)
@prepared_option
@click.option(
    "--seeds",
    callback=_seeds,
    default="1234",
    show_default=True,
    help="Comma-separated seeds; the value of a fold is the mean over them.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of parallel runs; on a CPU, one per core is fastest.",
)
@click.option(
    "--engine",
    type=click.Choice(["processes", "ray"]),
    default="processes",
    show_default=True,
    help="processes: one process per system. ray: one Ray trial per fold "
    "(needs the extra [ray]).",
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
    help="GPUs per Ray trial; with 0.5, two trials share one GPU.",
)
def compare(
    arguments,
    output_folder,
    prepared_folder,
    seeds,
    workers,
    engine,
    ray_address,
    gpus_per_trial,
):
    """Train systems on the same folds with the same seeds.

    HPARAMS are hparams files of one recipe, e.g. hparams/*.yaml. The command
    writes the paper's Tables 2 to 4, with the paired difference from can.yaml, as
    comparison.md, .csv and .tex. An interrupted comparison resumes when the
    command is run again.

    With --engine=ray, a trial whose worker dies resumes from its last checkpoint
    on another worker. On a cluster, all machines need access to all folders.

    All other --KEY=VALUE options are passed to train.py, e.g.
    --data_folder=FOLDER --fold=0.
    """
    from speechbrain_can.experiments.compare import (
        check_runs,
        plan_runs,
        train_all,
    )

    files, others = split_arguments(arguments)
    if ray_address and engine != "ray":
        raise click.UsageError("--ray-address requires --engine=ray.")
    # On SIGTERM, terminate the runs as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    runs = plan_runs(files, seeds, output_folder, others, prepared_folder)
    check_runs(runs, output_folder)
    try:
        if engine == "ray":
            from speechbrain_can.experiments.ray import (
                RayOptions,
                train_all_on_ray,
            )

            options = RayOptions(workers, ray_address, gpus_per_trial)
            failed = train_all_on_ray(runs, options)
        else:
            failed = train_all(runs, workers)
    finally:
        # also after an interruption
        _print_report(runs, output_folder)
    sys.exit(1 if failed else 0)


def _print_report(runs: list, output_folder: Path) -> None:
    """Print and write the tables of the finished systems."""
    from speechbrain_can.corpus.prepared import Corpus
    from speechbrain_can.report.tables import (
        choose_reference,
        format_tables,
        interval_table,
        write_tables,
    )
    from speechbrain_can.runs.layout import runs_of_comparison
    from speechbrain_can.runs.results import check_tables
    from speechbrain_can.runs.summary import (
        collect,
        common_folds,
        load_predictions,
        unequal_folds,
    )

    found = runs_of_comparison(output_folder)
    for _, _, run in found:
        check_tables(run)
    results = collect(found)
    if not len(results):
        return
    # After an interruption, report the folds that all systems have.
    for missing in unequal_folds(results).values():
        show(f"Not yet in the tables: {missing}", stream=sys.stderr)
    results = common_folds(results)
    if not len(results):
        return
    corpus = Corpus.of(runs[0].settings.plain())
    tables = format_tables(
        results,
        interval_table(load_predictions(results), corpus.speakers()),
        corpus.name,
        f"{corpus.protocol}, {len(corpus.classes)} classes",
        choose_reference(results),
    )
    write_tables(output_folder / "comparison", tables)
    show(tables["md"])
    show(f"Tables: {output_folder / 'comparison'}.csv, .md and .tex")
    show(
        f"HTML report: speechbrain-can report {output_folder} --html=report.html"
    )
