"""``speechbrain-can report``: tables and HTML reports of runs."""

from pathlib import Path

import click

from speechbrain_can.io.console import show


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
    help="Write an HTML page: the report, or for a single fold its test set.",
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
    help="System that the others are compared with.  [default: that of the first "
    "folder; of a single folder, can or the first]",
)
@click.option(
    "--by",
    metavar="COLUMNS",
    default="",
    help="Also compare groups of utterances, e.g. sex,speaker,corpus,duration: "
    "columns of the manifest. Numbers are divided into four ranges.",
)
@click.option(
    "--smallest-group",
    type=click.IntRange(min=2),
    default=20,
    show_default=True,
    help="Minimum number of utterances of a group with scores.",
)
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    help="Maximum number of utterances on the page of a fold.",
)
def report(folders, html, markdown, latex, reference, by, smallest_group, most):
    """Print the results of runs, and write reports and tables.

    FOLDERS are runs on the same folds (e.g. results/can/1234), the output of
    compare, or a single fold. The report contains scores with intervals and
    tests, data leakage, confusion matrices, learning curves, calibration,
    attention and errors. The page of a fold plays its test utterances and
    shows where the model attended, high-confidence errors first.
    """
    from speechbrain_can.runs.layout import FoldLayout

    if len(folders) == 1 and FoldLayout(folders[0]).finished:
        if markdown or latex or reference or by:
            raise click.UsageError(
                "--markdown, --latex, --reference and --by apply to runs. Pass "
                f"{folders[0].absolute().parent} instead of a fold."
            )
        _report_fold(folders[0], html, most)
    else:
        columns = [name.strip() for name in by.split(",") if name.strip()]
        _report_runs(
            folders, html, markdown, latex, reference, columns, smallest_group
        )


def _report_fold(folder, html, most):
    from speechbrain_can.report.fold_page import write_fold_page
    from speechbrain_can.runs.layout import FoldLayout
    from speechbrain_can.runs.results import check_tables, read_summary
    from speechbrain_can.runs.summary import format_table

    run = FoldLayout(folder).run
    check_tables(run)
    if run.results.exists():
        show(format_table(read_summary(run), run))
    if html is not None:
        count = write_fold_page(html, folder, most)
        show(f"HTML page of {count} utterances: {html.absolute()}")


def _report_runs(folders, html, markdown, latex, reference, columns, smallest):
    from speechbrain_can.corpus.leakage import format_leaks
    from speechbrain_can.io.files import atomic_write
    from speechbrain_can.report.data import gather
    from speechbrain_can.report.groups import format_groups, group_tables
    from speechbrain_can.report.tables import (
        choose_reference,
        format_tables,
        interval_table,
    )
    from speechbrain_can.runs.layout import find_runs

    gathered = gather(folders)
    corpus = gathered.corpus
    if reference is None and len(folders) > 1:
        reference = find_runs(folders[:1])[0][0]
    reference = choose_reference(gathered.results, reference)
    intervals = interval_table(gathered.predictions, corpus.speakers())
    tables = format_tables(
        gathered.results,
        intervals,
        corpus.name,
        f"{corpus.protocol}, {len(corpus.classes)} classes",
        reference,
    )
    groups = group_tables(gathered, columns, smallest)
    texts = {}
    for name, table_format in (("md", "github"), ("tex", "latex_booktabs")):
        heading = "% Data leakage\n" if name == "tex" else "Data leakage\n\n"
        parts = [
            tables[name],
            heading + format_leaks(gathered.leaks, table_format),
            *([format_groups(groups, table_format)] if groups else []),
        ]
        texts[name] = "\n".join(part.rstrip("\n") + "\n" for part in parts)
    show(texts["md"])
    for path, text in ((markdown, texts["md"]), (latex, texts["tex"])):
        if path is not None:
            with atomic_write(path) as stream:
                stream.write(text)
            show(f"Wrote {path.absolute()}")
    if html is not None:
        from speechbrain_can.report.report_page import write_report_page

        write_report_page(html, gathered, intervals, reference, groups)
        show(f"HTML report: {html.absolute()}")
