"""The mean of several runs.

Authors
 * The speechbrain-can developers 2026
"""

from pathlib import Path

import click


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
    help="A folder for predictions and results, as of a run.",
)
def combine(runs, output):
    """Average the probabilities of runs, such as one system with several seeds.

    RUNS are folders of finished runs on the same folds: results/can/1234
    results/can/1.
    """
    from speechbrain_can.results.ensemble import combine as combine_runs
    from speechbrain_can.results.folds import format_table

    name = f"mean of {len(runs)} runs"
    summary = combine_runs(list(runs), output, name)
    click.echo(format_table(summary, output))
