"""A model in a box.

Authors
 * The speechbrain-can developers 2026
"""

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--title", help="Of the model card; else the name of OUTPUT.")
@click.option(
    "--card",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="What the model is and, after a line of ---, must not be used for.",
)
@click.option("--licence", required=True, help="Of the model, e.g. cc0-1.0.")
@click.option(
    "--set",
    "values",
    multiple=True,
    type=(str, str),
    metavar="KEY VALUE",
    help="Another value in its settings: a name on the hub for a folder here.",
)
def pack(run, output, title, card, licence, values):
    """Train a run's model on its whole corpus, and write it small.

    RUN has finished folds, which say how good it is; OUTPUT becomes a model folder
    in half precision, without the pretrained models, which it names.
    """
    from speechbrain_can.training.pack import pack as pack_run

    description, found, limits = card.read_text("utf-8").partition("\n---\n")
    if not found:
        raise click.UsageError(
            f"{card} has no line of ---, between what the model is and what it "
            "must not be used for"
        )
    parameters = pack_run(
        run,
        output,
        title or output.name,
        description.strip(),
        limits.strip(),
        licence,
        dict(values),
    )
    click.echo(f"{parameters:,} parameters in {output.absolute()}")
