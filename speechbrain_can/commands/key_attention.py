"""``speechbrain-can key-attention``: attention to the key words of a controlled corpus."""

from pathlib import Path

import click

from speechbrain_can.io.console import show


@click.command("key-attention")
@click.argument("output_folder", type=click.Path(path_type=Path))
def key_attention(output_folder):
    """Print how much attention a finished run pays to key words.

    OUTPUT_FOLDER is the folder of a run on a controlled corpus, e.g.
    results/can/1234. The key word carries the emotion. The table compares it
    with chance, words with a decoy cue, and the longest word.
    """
    from speechbrain_can.controlled.key_attention import describe_run

    show(describe_run(output_folder))
