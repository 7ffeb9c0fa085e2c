"""``speechbrain-can align``: word timings of recordings."""

import sys
from pathlib import Path

import click

from speechbrain_can.io.console import show


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=click.Path())
@click.option("--transcript", help="Transcript of a single recording.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default="alignments",
    show_default=True,
    help="Output folder; one file per recording.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["csv", "ctm", "textgrid"]),
    default="csv",
    show_default=True,
)
@click.option(
    "--whisper",
    default="base",
    show_default=True,
    help="Whisper model that transcribes recordings without a transcript: a size, "
    "a name on the hub or a folder.",
)
@click.option(
    "--ctc",
    metavar="MODEL",
    help="Align with this CTC model (a name on the Hugging Face hub or a "
    "folder), for languages other than English.",
)
@click.option(
    "--language",
    default="en",
    show_default=True,
    help="Language of the recordings.",
)
@click.option(
    "--channel",
    metavar="left|right|NUMBER",
    help="Channel to use, such as one speaker of an interview.  [default: their "
    "mean]",
)
@click.option(
    "--allow-outside",
    is_flag=True,
    help="Allow tables to name files outside their own folder.",
)
def align(
    inputs,
    transcript,
    output,
    output_format,
    whisper,
    ctc,
    language,
    channel,
    allow_outside,
):
    """Write the word timings of recordings.

    INPUTS are audio files, folders, or tables (CSV with the columns wav and,
    optionally, transcript). predict and corpus preparation read the written
    files, for example through the column alignment of a table.

    Recordings that cannot be aligned are reported and skipped. The exit status
    is 1 if any recording was skipped.
    """
    from tqdm import tqdm

    from speechbrain_can.alignment.pipeline import find_words
    from speechbrain_can.alignment.recognizers.whisper import WhisperTranscriber
    from speechbrain_can.alignment.writers import WRITERS
    from speechbrain_can.inference.inputs import (
        describe_problem,
        find_recordings,
        unique_names,
        with_options,
    )
    from speechbrain_can.io.audio import load_audio
    from speechbrain_can.io.files import InputError

    aligner = _aligner(ctc, language)
    recordings = [
        with_options(recording, None, channel)
        for recording in find_recordings(inputs, allow_outside)
    ]
    if transcript is not None and len(recordings) > 1:
        raise click.UsageError(
            "--transcript applies to a single recording. For several "
            "recordings, pass a table with the columns wav and transcript."
        )
    transcriber = WhisperTranscriber(whisper, language)
    output.mkdir(parents=True, exist_ok=True)
    bad = 0
    names = unique_names(recordings)
    for recording, name in tqdm(
        zip(recordings, names),
        total=len(recordings),
        unit="recording",
        disable=None if len(recordings) > 1 else True,
    ):
        try:
            waveform, rate = load_audio(recording.path, recording.channel)
            found = find_words(
                waveform,
                rate,
                aligner,
                transcriber,
                transcript or recording.transcript,
            )
        except (InputError, OSError) as error:
            bad += 1
            tqdm.write(describe_problem(recording, str(error)), file=sys.stderr)
            continue
        for note in found.adjustments:
            tqdm.write(describe_problem(recording, note), file=sys.stderr)
        WRITERS[output_format](output, name, found)
    show(f"{len(recordings) - bad} alignments in {output}")
    if bad:
        show(
            f"{bad} of {len(recordings)} recordings were not aligned",
            stream=sys.stderr,
        )
        sys.exit(1)


def _aligner(ctc, language):
    """Return PocketSphinx, or the aligner of a CTC model."""
    if ctc is not None:
        from speechbrain_can.alignment.aligners.ctc import CTCAligner
        from speechbrain_can.encoders.ctc import HuggingFaceCTC

        return CTCAligner(HuggingFaceCTC(ctc))
    if language != "en":
        raise click.UsageError(
            "PocketSphinx aligns English only. Pass a CTC model of the "
            "language with --ctc."
        )
    from speechbrain_can.alignment.aligners.sphinx import PocketsphinxAligner

    return PocketsphinxAligner()
