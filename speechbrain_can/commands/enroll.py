"""``speechbrain-can enroll``: profiles of speakers."""

import sys
from pathlib import Path

import click

from speechbrain_can.commands.options import loading_options
from speechbrain_can.io.console import show


@click.command()
@click.argument("model")
@click.argument("profile", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("inputs", nargs=-1, required=True, type=click.Path(exists=True))
@click.option(
    "--name",
    help="Name of the speaker.  [default: the file name of PROFILE]",
)
@click.option(
    "--allow-outside",
    is_flag=True,
    help="Allow tables to name files outside their own folder.",
)
@loading_options
def enroll(
    model,
    profile,
    inputs,
    name,
    whisper,
    encoder,
    text_encoder,
    allow_outside,
    device,
):
    """Write a profile of a speaker for predict --profile.

    MODEL is a model that adapts to speakers. INPUTS are recordings of the speaker:
    audio files, folders, or tables with transcripts, as for predict. Emotions need
    not be known. PROFILE becomes a small file with statistics of the features,
    without audio or text.
    """
    from speechbrain_can.inference.batches import encode_recordings
    from speechbrain_can.inference.inputs import (
        describe_problem,
        find_recordings,
    )
    from speechbrain_can.inference.loading import load_recognizer
    from speechbrain_can.inference.speakers import save_profile

    name = name or profile.stem
    recognizer = load_recognizer(model, whisper, device, encoder, text_encoder)
    recordings = find_recordings(inputs, allow_outside)
    count = bad = 0
    for recording, encoded in encode_recordings(recognizer, recordings):
        for problem in encoded.problems:
            show(describe_problem(recording, problem), stream=sys.stderr)
        bad += bool(encoded.problems)
        if encoded.utterances:
            count = recognizer.enroll(name, encoded.utterances).recordings
    if not count:
        raise click.ClickException("no recording could be used")
    save_profile(recognizer, name, profile)
    show(f"{name}: {count} utterances, {profile.absolute()}")
    if bad:
        raise SystemExit(1)
