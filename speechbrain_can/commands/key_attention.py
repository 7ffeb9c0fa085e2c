"""How much of a run's attention fell on the key words of a controlled corpus.

Authors
 * The speechbrain-can developers 2026
"""

from pathlib import Path

import click


@click.command("key-attention")
@click.argument("output_folder", type=click.Path(path_type=Path))
def key_attention(output_folder):
    """Print the attention of a finished run on key words.

    OUTPUT_FOLDER is that of one run on a controlled corpus, e.g.
    results/can/1234. The key word carries the emotion; beside it stand chance,
    words with a decoy cue and the longest word.
    """
    from speechbrain_can.controlled.key_attention import describe_run

    print(describe_run(output_folder))
