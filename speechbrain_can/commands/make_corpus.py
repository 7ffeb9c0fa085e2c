"""``speechbrain-can make-corpus``: generate a controlled corpus."""

import click


@click.command("make-corpus")
@click.argument("folder", type=click.Path())
@click.option("--utterances", type=int, default=600, show_default=True)
@click.option(
    "--sentences",
    type=click.Path(exists=True, dir_okay=False),
    help="TSV with id, emotion, key, words, text.  [default: packaged "
    "sentences]",
)
@click.option("--seed", type=int, default=1234, show_default=True)
@click.option(
    "--agree",
    type=click.FloatRange(0, 1),
    default=0.6,
    show_default=True,
    help="Share of utterances whose voice and text express the same emotion.",
)
@click.option("--workers", type=int, help="Processes.  [default: one per core]")
def make_corpus(**settings):
    """Generate a controlled corpus in IEMOCAP's layout in FOLDER.

    eSpeak NG speaks real sentences in ten voices. The word that carries the
    emotion is known for each utterance. Needs the extra [demo].
    """
    from speechbrain_can.controlled import generator

    generator.make_corpus(**settings)
