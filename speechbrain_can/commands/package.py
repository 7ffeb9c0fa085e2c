"""``speechbrain-can package``: small models for distribution."""

from pathlib import Path

import click

from speechbrain_can.io.console import show


@click.command()
@click.argument(
    "runs",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@click.argument("output", type=click.Path(path_type=Path))
@click.option(
    "--title", help="Title of the model card.  [default: the name of OUTPUT]"
)
@click.option(
    "--card",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Text file with the description of the model and, after a line ---, "
    "its limitations.",
)
@click.option(
    "--license", required=True, help="License of the model, e.g. cc0-1.0."
)
@click.option(
    "--set",
    "values",
    multiple=True,
    type=(str, str),
    metavar="KEY VALUE",
    help="Replace a value in the settings, e.g. a local folder by a name on the "
    "hub.",
)
def package(runs, output, title, card, license, values):
    """Train the models of runs on their whole corpus and write a small model folder.

    RUNS contain finished folds, whose scores go into the model card. Several runs,
    which differ in their seed, become an ensemble. OUTPUT becomes a model folder in
    half precision. Pretrained encoders are not
    included; the folder refers to them by name.
    """
    from speechbrain_can.experiments.package import package as package_runs

    description, found, limits = card.read_text("utf-8").partition("\n---\n")
    if not found:
        raise click.UsageError(
            f"{card} has no line --- between the description of the model and "
            "its limitations."
        )
    parameters = package_runs(
        runs,
        output,
        title or output.name,
        description.strip(),
        limits.strip(),
        license,
        dict(values),
    )
    show(f"{parameters:,} parameters in {output.absolute()}")
