"""What runs reached, again, and pages of it.

Authors
 * The speechbrain-can developers 2026
"""

from pathlib import Path

import click


@click.command()
@click.argument(
    "folders",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page: of a fold its test set, else the report.",
)
@click.option(
    "--markdown",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the tables as Markdown.",
)
@click.option(
    "--latex",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the tables as LaTeX (booktabs).",
)
@click.option(
    "--reference",
    help="System that others are set beside.  [default: can, or the first]",
)
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    help="Utterances on the page of a fold.",
)
def report(folders, html, markdown, latex, reference, most):
    """Print what runs reached, and write pages and tables of it.

    FOLDERS are those of runs on the same folds, e.g. results/can/1234, of what
    compare wrote, or a single fold. The report has every system with intervals and
    tests, what folds share, confusions, curves, calibration, attention and mistakes.
    The page of a fold plays its test utterances and shows where the model
    attended, confident mistakes first.
    """
    from speechbrain_can.results.folds import FOLD_RESULT

    if len(folders) == 1 and (folders[0] / FOLD_RESULT).exists():
        if markdown or latex or reference:
            raise click.UsageError(
                "--markdown, --latex and --reference are for runs; give "
                f"{folders[0].absolute().parent}"
            )
        _report_fold(folders[0], html, most)
    else:
        _report_runs(folders, html, markdown, latex, reference)


def _report_fold(folder, html, most):
    from speechbrain_can.reporting.fold_page import write_fold_page
    from speechbrain_can.results.folds import (
        RESULTS,
        check_tables,
        format_table,
        read_summary,
    )

    run = folder.absolute().parent
    check_tables(run)
    if (run / RESULTS).exists():
        click.echo(format_table(read_summary(run), run))
    if html is not None:
        count = write_fold_page(html, folder, most)
        click.echo(f"{count} utterances to look at: {html.absolute()}")


def _report_runs(folders, html, markdown, latex, reference):
    from speechbrain_can.corpus.leakage import format_leaks
    from speechbrain_can.files import atomic_write
    from speechbrain_can.reporting.gather import gather
    from speechbrain_can.results.report import (
        choose_reference,
        format_tables,
        interval_table,
    )

    gathered = gather(folders)
    corpus = gathered.corpus
    reference = choose_reference(gathered.results, reference)
    intervals = interval_table(gathered.predictions, corpus.speakers())
    tables = format_tables(
        gathered.results,
        intervals,
        corpus.name,
        f"{corpus.protocol}, {len(corpus.classes)} classes",
        reference,
    )
    leaks = (
        f"What the folds share\n\n{format_leaks(gathered.leaks, 'github')}\n"
    )
    click.echo(f"{tables['md']}\n{leaks}")
    latex_leaks = format_leaks(gathered.leaks, "latex_booktabs")
    for path, text in (
        (markdown, f"{tables['md']}\n{leaks}"),
        (latex, f"{tables['tex']}\n% What the folds share\n{latex_leaks}\n"),
    ):
        if path is not None:
            with atomic_write(path) as stream:
                stream.write(text)
            click.echo(f"Written: {path.absolute()}")
    if html is not None:
        from speechbrain_can.reporting.report_page import write_report_page

        write_report_page(html, gathered, intervals, reference)
        click.echo(f"The report: {html.absolute()}")
