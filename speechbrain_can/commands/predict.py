"""``speechbrain-can predict``: emotions of recordings."""

import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

from speechbrain_can.commands.options import loading_options
from speechbrain_can.io.console import show

FORMATS = ("table", "json", "csv", "textgrid")

LISTED = 10  # skipped recordings that the last line names


@click.command()
@click.argument("model")
@click.argument("inputs", nargs=-1, type=click.Path(allow_dash=True))
@click.option("--transcript", help="Transcript of a single recording.")
@click.option(
    "--alignment",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Word timings of a single recording: TextGrid, CTM, JSON, CSV and "
    "others.",
)
@click.option(
    "--tier",
    help="Tier of the words in alignment files.  [default: that of a known tool]",
)
@click.option(
    "--channel",
    metavar="left|right|NUMBER",
    help="Channel to use, such as one speaker of an interview.  [default: their "
    "mean]",
)
@click.option(
    "--same-speaker",
    is_flag=True,
    help="All recordings are by one speaker, to whom the model is adapted.",
)
@click.option(
    "--speaker-folders",
    is_flag=True,
    help="Each folder contains the recordings of one speaker.",
)
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Speaker profile written by enroll. A single one applies to all "
    "recordings without a speaker; several are matched by the column speaker.",
)
@click.option(
    "--adapt/--no-adapt",
    default=True,
    show_default=True,
    help="Adapt to the speakers of the recordings, if the model can.",
)
@click.option(
    "--language",
    help="Language of the recordings, e.g. de. The column language of a table takes "
    "precedence.  [default: that of the model]",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="json: one line per utterance, with words and attention.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Output file, or folder for textgrid.  [default: print]",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write an HTML page with audio, words and attention.",
)
@click.option(
    "--longest",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    help="Maximum length in seconds; longer recordings are split at pauses.",
)
@click.option(
    "--largest-file",
    type=click.FloatRange(min=0),
    default=1024.0,
    show_default=True,
    help="Skip files larger than this, in megabytes.",
)
@click.option(
    "--longest-file",
    type=click.FloatRange(min=0),
    default=240.0,
    show_default=True,
    help="Skip recordings longer than this, in minutes.",
)
@click.option(
    "--allow-outside",
    is_flag=True,
    help="Allow tables to name files outside their own folder.",
)
@click.option(
    "--microphone",
    type=click.FloatRange(min=0.5),
    metavar="SECONDS",
    help="Record from the microphone for this long and predict the recording.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(min=0.5, max=1, max_open=True),
    help="Also output all emotions that the model cannot exclude at this confidence, "
    'e.g. 0.9; "not sure" unless only the most probable one is left.',
)
@loading_options
def predict(
    model,
    inputs,
    transcript,
    alignment,
    tier,
    channel,
    same_speaker,
    speaker_folders,
    profiles,
    adapt,
    language,
    encoder,
    text_encoder,
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
    confidence,
):
    """Predict the emotions of recordings.

    MODEL is a model folder (fold_0/model of a finished run), a packaged model,
    or a name on the Hugging Face hub. INPUTS are audio files, folders, tables
    (CSV with the columns wav and, optionally, transcript, alignment, channel and
    speaker), or - for standard input. Recordings without transcript and alignment are
    transcribed by Whisper (extra [asr]). PocketSphinx aligns transcripts (extra
    [align]).

    A model that adapts to speakers (see its card) adapts each utterance to the
    other recordings of the same speaker, and to the other utterances of a long
    recording.

    Unusable recordings are reported and skipped. The exit status is 1 if any
    recording was skipped.
    """
    from tqdm import tqdm

    from speechbrain_can.inference.batches import predict_recordings
    from speechbrain_can.inference.inputs import unique_names, with_options
    from speechbrain_can.inference.loading import load_recognizer
    from speechbrain_can.inference.speakers import assign_speakers
    from speechbrain_can.inference.writers import WRITERS

    if output_format == "textgrid" and (output is None or output.is_file()):
        raise click.UsageError("--format=textgrid needs --output=FOLDER.")
    if output_format != "textgrid" and output is not None and output.is_dir():
        raise click.UsageError(f"--output={output} is a folder. Pass a file.")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        recordings = _recordings(
            inputs, allow_outside, microphone, transcript, alignment, folder
        )
        recordings = [
            with_options(r, tier, channel, language) for r in recordings
        ]
        recognizer = load_recognizer(
            model, whisper, device, encoder, text_encoder
        )
        recognizer.confidence = confidence
        recordings = assign_speakers(
            recognizer, recordings, profiles, same_speaker, speaker_folders
        )
        place = _opened(output_format, output, stack)
        writer = WRITERS[output_format](
            place, recognizer.classes, recognizer.dimensions
        )
        outcomes = tqdm(
            predict_recordings(
                recognizer,
                recordings,
                longest,
                largest_file,
                longest_file,
                adapt,
            ),
            total=len(recordings),
            unit="recording",
            disable=None if len(recordings) > 1 else True,
        )
        bad, predicted = _write(
            outcomes, unique_names(recordings), writer, keep=html is not None
        )
        if predicted:
            _write_page(html, predicted)
    if bad:
        for line in _skipped(bad, len(recordings)):
            show(line, stream=sys.stderr)
        sys.exit(1)


def _skipped(outcomes, number):
    """Return lines about recordings that were skipped completely or in part."""
    whole = [o for o in outcomes if not o.predictions]
    if whole:
        names = ", ".join(str(o.recording.path) for o in whole[:LISTED])
        more = ", ..." if len(whole) > LISTED else ""
        yield f"{len(whole)} of {number} recordings were skipped: {names}{more}"
    for outcome in outcomes:
        if outcome.predictions:
            spans = ", ".join(
                f"{a:.1f} to {b:.1f} s" for a, b in outcome.skipped
            )
            yield f"{outcome.recording.path}: skipped {spans or 'in part'}"


def _write(outcomes, names, writer, keep):
    """Write predictions and report problems and adjustments.

    Returns the outcomes with problems and, with ``keep``, those with predictions.
    """
    from tqdm import tqdm

    from speechbrain_can.inference.inputs import describe_problem

    bad, predicted = [], []
    for outcome, name in zip(outcomes, names):
        for problem in (*outcome.problems, *outcome.adjustments):
            tqdm.write(
                describe_problem(outcome.recording, problem), file=sys.stderr
            )
        if outcome.problems:
            # Their predictions may be large.
            bad.append(replace(outcome, predictions=outcome.predictions[:1]))
        for warning in _warnings(outcome.predictions):
            tqdm.write(
                describe_problem(outcome.recording, warning), file=sys.stderr
            )
        if outcome.predictions:
            writer.add(outcome.predictions, name)
            if keep:
                predicted.append(outcome)
    writer.close()
    return bad, predicted


def _warnings(predictions):
    """Return the warnings about a recording, by utterance if there are several."""
    single = len(predictions) == 1
    return [
        ("unusual" if single else f"unusual, {p.start:.1f} to {p.end:.1f} s")
        + f": {'; '.join(p.warnings)}"
        for p in predictions
        if p.warnings
    ]


def _recordings(
    inputs, allow_outside, microphone, transcript, alignment, folder
):
    """Collect the recordings to predict; microphone and stdin audio goes to ``folder``."""
    from speechbrain_can.alignment.pipeline import AlignmentFile
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
        raise click.UsageError("Pass a recording, a folder or a table.")
    if transcript is None and alignment is None:
        return recordings
    if len(recordings) > 1:
        raise click.UsageError(
            "--transcript and --alignment apply to a single recording. For "
            "several recordings, pass a table with columns of these names."
        )
    if alignment is not None:
        alignment = AlignmentFile(alignment, recordings[0].path.stem)
    return [replace(recordings[0], transcript=transcript, alignment=alignment)]


def _opened(output_format, output, stack):
    """Return the destination of predictions: a stream, or a folder for TextGrids."""
    from speechbrain_can.io.files import atomic_write

    if output_format == "textgrid":
        return output
    if output is None:
        return sys.stdout
    return stack.enter_context(atomic_write(output))


def _write_page(html, outcomes):
    from speechbrain_can.io.audio import read_waveform
    from speechbrain_can.report.prediction_page import (
        PAGE_RATE,
        PageEntry,
        write_page,
    )

    entries = (
        PageEntry(
            outcome.recording.path.name,
            read_waveform(
                outcome.recording.path, PAGE_RATE, outcome.recording.channel
            ),
            outcome.predictions,
        )
        for outcome in outcomes
    )
    write_page(html, "Emotions", entries)
    show(f"HTML page: {html.absolute()}", stream=sys.stderr)
