"""What a run reached, again, and a page of it.

Authors
 * The speechbrain-can developers 2026
"""

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Of a fold: write the page of its test set.",
)
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    help="Utterances on the page.",
)
def report(folder, html, most):
    """Print the table of a run or fold, and write a page of a fold.

    FOLDER is that of a run, e.g. results/can/1234, or of one of its folds. The
    page plays the test utterances and shows where the model attended, confident
    mistakes first.
    """
    from speechbrain_can.files import read_json
    from speechbrain_can.results.folds import RESULTS, format_table

    run = folder if (folder / RESULTS).exists() else folder.absolute().parent
    if not (run / RESULTS).exists():
        raise click.UsageError(
            f"{folder} has no {RESULTS}; give the folder of a run with a "
            "finished fold, or of that fold"
        )
    click.echo(format_table(read_json(run / RESULTS)))
    if html is not None:
        from speechbrain_can.inference.fold_page import write_fold_page

        if run == folder:
            raise click.UsageError(
                f"--html is for one fold; give {folder}/fold_<number>"
            )
        count = write_fold_page(html, folder, most)
        click.echo(f"{count} utterances to look at: {html.absolute()}")
