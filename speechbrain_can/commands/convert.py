"""``speechbrain-can convert``: model folders of earlier versions."""

from pathlib import Path

import click

from speechbrain_can.io.console import show


@click.command()
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.argument("output", type=click.Path(path_type=Path))
@click.option(
    "--trust-model-code",
    is_flag=True,
    required=True,
    help="Confirm that you trust the author: conversion executes the settings.",
)
def convert(folder, output, trust_model_code):
    """Convert a model folder that an earlier version wrote.

    OUTPUT becomes a model folder with the same model. FOLDER is not changed.
    """
    from speechbrain_can.inference.conversion import convert_model_folder

    convert_model_folder(folder, output)
    show(f"Model folder: {output.absolute()}")
