"""``speechbrain-can combine``: ensembles of runs."""

from pathlib import Path

import click

from speechbrain_can.io.console import show


@click.command()
@click.argument(
    "runs",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Output folder for predictions and results.",
)
def combine(runs, output):
    """Average the predicted probabilities of runs, such as several seeds.

    Folds that some runs lack are left out. Each fold of the output gets a model
    folder with the networks of all runs.

    RUNS are folders of finished runs on the same folds, for example
    results/can/1234 results/can/1.
    """
    from speechbrain_can.experiments.combine import combine as combine_runs
    from speechbrain_can.runs.layout import RunLayout
    from speechbrain_can.runs.summary import format_table

    name = f"mean of {len(runs)} runs"
    summary = combine_runs(list(runs), output, name)
    show(format_table(summary, RunLayout(output)))
