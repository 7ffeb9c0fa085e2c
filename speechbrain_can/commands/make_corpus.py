"""Makes a controlled corpus by hand.

Authors
 * The speechbrain-can developers 2026
"""

import click


@click.command("make-corpus")
@click.argument("folder", type=click.Path())
@click.option("--utterances", type=int, default=600, show_default=True)
@click.option(
    "--sentences",
    type=click.Path(exists=True, dir_okay=False),
    help="TSV with id, emotion, key, words, text; default: the package's.",
)
@click.option("--seed", type=int, default=1234, show_default=True)
@click.option(
    "--agree",
    type=click.FloatRange(0, 1),
    default=0.6,
    show_default=True,
    help="Share of utterances acted in the emotion of their text.",
)
@click.option("--workers", type=int, help="Processes; default: one a core.")
def make_corpus(**settings):
    """Make a controlled corpus in IEMOCAP's layout, in FOLDER.

    Real sentences spoken by eSpeak NG in ten voices; which word carries the
    emotion is known. Needs the extra [demo].
    """
    from speechbrain_can.controlled import generator

    generator.make_corpus(**settings)
