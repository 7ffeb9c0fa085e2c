"""``speechbrain-can hparams``: print a complete hparams file."""

import click

from speechbrain_can.io.console import show


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("hparams_file", type=click.Path(exists=True, dir_okay=False))
@click.argument(
    "overrides",
    metavar="[--KEY=VALUE...]",
    nargs=-1,
    type=click.UNPROCESSED,
)
def hparams(hparams_file, overrides):
    """Print an hparams file merged with its base, as plain HyperPyYAML.

    Overrides replace values as they do for train.py.
    """
    import speechbrain as sb
    from speechbrain_can.settings.hparams import read_settings

    _, _, overrides = sb.parse_arguments([hparams_file, *overrides])
    show(read_settings(hparams_file, overrides).text.rstrip("\n"))
