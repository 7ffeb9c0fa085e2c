"""Predicts the emotions of one's own recordings.

Authors
 * The speechbrain-can developers 2026
"""

import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

FORMATS = ("table", "json", "csv", "textgrid")


@click.command()
@click.argument("model")
@click.argument("inputs", nargs=-1, type=click.Path(allow_dash=True))
@click.option("--transcript", help="What is said, if there is one recording.")
@click.option(
    "--alignment",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="When it is said: TextGrid, CTM, JSON, CSV and others.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="json: a line an utterance, with words and attention.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="A file, else it is printed; for textgrid a folder.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write a page that plays and shows it.",
)
@click.option(
    "--whisper",
    help="Hears what is said: a size such as small, a name on the hub or a "
    "folder. [default: the model's]",
)
@click.option(
    "--longest",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    help="Seconds; a longer recording is cut at its pauses.",
)
@click.option(
    "--largest-file",
    type=click.FloatRange(min=0),
    default=1024.0,
    show_default=True,
    help="Megabytes; a larger file is not read.",
)
@click.option(
    "--longest-file",
    type=click.FloatRange(min=0),
    default=240.0,
    show_default=True,
    help="Minutes; a longer recording is not read.",
)
@click.option(
    "--allow-outside",
    is_flag=True,
    help="A table may name files outside its own folder.",
)
@click.option(
    "--microphone",
    type=click.FloatRange(min=0.5),
    metavar="SECONDS",
    help="Record so long, and predict that.",
)
@click.option("--device", default="cpu", show_default=True)
def predict(
    model,
    inputs,
    transcript,
    alignment,
    output_format,
    output,
    html,
    whisper,
    longest,
    largest_file,
    longest_file,
    allow_outside,
    microphone,
    device,
):
    """Predict the emotions of recordings.

    MODEL is a model folder, fold_0/model of a finished run, or a name on the
    Hugging Face hub. INPUTS are audio files, folders, tables (CSV with the
    columns wav and, where known, transcript and alignment), or - for standard
    input. Where neither transcript nor alignment is known, Whisper hears what is
    said (extra [asr]); transcripts are aligned by PocketSphinx (extra [align]).

    A recording that cannot be used is told, the others are predicted; the exit
    status is then 1.
    """
    from tqdm import tqdm

    from speechbrain_can.inference.batches import predict_recordings
    from speechbrain_can.inference.inputs import own_names, tell
    from speechbrain_can.inference.recognizer import load_recognizer
    from speechbrain_can.inference.writers import WRITERS

    if output_format == "textgrid" and (output is None or output.is_file()):
        raise click.UsageError("textgrid needs --output=FOLDER")
    if output_format != "textgrid" and output is not None and output.is_dir():
        raise click.UsageError(f"--output={output} is a folder; give a file")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        recordings = _recordings(
            inputs, allow_outside, microphone, transcript, alignment, folder
        )
        recognizer = load_recognizer(model, whisper, device)
        place = _opened(output_format, output, stack)
        writer = WRITERS[output_format](place, recognizer.classes)
        bad, shown = 0, []
        outcomes = tqdm(
            predict_recordings(
                recognizer, recordings, longest, largest_file, longest_file
            ),
            total=len(recordings),
            unit="recording",
            disable=None if len(recordings) > 1 else True,
        )
        for outcome, name in zip(outcomes, own_names(recordings)):
            for problem in outcome.problems:
                tqdm.write(tell(outcome.recording, problem), file=sys.stderr)
            bad += bool(outcome.problems)
            if outcome.predictions:
                writer.add(outcome.predictions, name)
                if html is not None:
                    shown.append(outcome)
        writer.close()
        if shown:
            _write_page(html, shown)
    if bad:
        click.echo(
            f"{bad} of {len(recordings)} recordings could not be used, in full "
            "or in part",
            err=True,
        )
        sys.exit(1)


def _recordings(
    inputs, allow_outside, microphone, transcript, alignment, folder
):
    """What is to be predicted; what is heard now is kept in a folder."""
    from speechbrain_can.inference.inputs import (
        STANDARD_INPUT,
        find_recordings,
        from_microphone,
        from_standard_input,
    )

    recordings = find_recordings(
        (i for i in inputs if i != STANDARD_INPUT), allow_outside
    )
    if STANDARD_INPUT in inputs:
        recordings.append(from_standard_input(folder))
    if microphone:
        recordings.append(from_microphone(microphone, folder))
    if not recordings:
        raise click.UsageError("give a recording, a folder or a table")
    if transcript is None and alignment is None:
        return recordings
    if len(recordings) > 1:
        raise click.UsageError(
            "--transcript and --alignment are for one recording; of several, "
            "give a table"
        )
    return [replace(recordings[0], transcript=transcript, alignment=alignment)]


def _opened(output_format, output, stack):
    """Where predictions go: a stream, or the folder of TextGrids."""
    from speechbrain_can.files import atomic_write

    if output_format == "textgrid":
        return output
    if output is None:
        return sys.stdout
    return stack.enter_context(atomic_write(output))


def _write_page(html, outcomes):
    from speechbrain_can.audio import read_waveform
    from speechbrain_can.results.page import PAGE_RATE, PageEntry, write_page

    entries = (
        PageEntry(
            outcome.recording.path.name,
            read_waveform(outcome.recording.path, PAGE_RATE),
            outcome.predictions,
        )
        for outcome in outcomes
    )
    write_page(html, "Emotions", entries)
    click.echo(f"The page: {html.absolute()}", err=True)
