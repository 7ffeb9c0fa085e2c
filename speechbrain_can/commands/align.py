"""Finds when the words of recordings are said.

Authors
 * The speechbrain-can developers 2026
"""

import sys
from pathlib import Path

import click


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=click.Path())
@click.option("--transcript", help="What is said, if there is one recording.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default="alignments",
    show_default=True,
    help="A folder, with a file a recording.",
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
    help="Hears what has no transcript: a size, a name on the hub or a folder.",
)
@click.option(
    "--ctc",
    metavar="MODEL",
    help="Align with a CTC model of the Hugging Face hub, or in a folder, for "
    "languages other than English.",
)
@click.option(
    "--language", default="en", show_default=True, help="What Whisper hears."
)
@click.option(
    "--allow-outside",
    is_flag=True,
    help="A table may name files outside its own folder.",
)
def align(
    inputs,
    transcript,
    output,
    output_format,
    whisper,
    ctc,
    language,
    allow_outside,
):
    """Write the times of the words of recordings.

    INPUTS are audio files, folders, or tables (CSV with the columns wav and,
    where it is known, transcript). What is written is read again by predict and
    by the preparation of a corpus, as the column alignment.

    A recording that cannot be aligned is told, the others are; the exit status is
    then 1.
    """
    from tqdm import tqdm

    from speechbrain_can.alignment.finding import find_words
    from speechbrain_can.alignment.sphinx import PocketsphinxAligner
    from speechbrain_can.alignment.transcribe import WhisperTranscriber
    from speechbrain_can.alignment.writers import WRITERS
    from speechbrain_can.audio import load_audio
    from speechbrain_can.files import InputError
    from speechbrain_can.inference.inputs import (
        find_recordings,
        own_names,
        tell,
    )

    if ctc is None and language != "en":
        raise click.UsageError(
            "PocketSphinx aligns English alone; of another language, name a "
            "model with --ctc"
        )
    aligner = PocketsphinxAligner()
    if ctc is not None:
        from speechbrain_can.alignment.ctc import CTCAligner
        from speechbrain_can.integrations.ctc import HuggingFaceCTC

        aligner = CTCAligner(HuggingFaceCTC(ctc))
    recordings = find_recordings(inputs, allow_outside)
    if transcript is not None and len(recordings) > 1:
        raise click.UsageError(
            "--transcript is for one recording; of several, give a table"
        )
    transcriber = WhisperTranscriber(whisper, language)
    output.mkdir(parents=True, exist_ok=True)
    bad = 0
    names = own_names(recordings)
    for recording, name in tqdm(
        zip(recordings, names),
        total=len(recordings),
        unit="recording",
        disable=None if len(recordings) > 1 else True,
    ):
        try:
            waveform, rate = load_audio(recording.path)
            found = find_words(
                waveform,
                rate,
                aligner,
                transcriber,
                transcript or recording.transcript,
            )
        except (InputError, OSError) as error:
            bad += 1
            tqdm.write(tell(recording, str(error)), file=sys.stderr)
            continue
        WRITERS[output_format](output, name, found)
    click.echo(f"{len(recordings) - bad} alignments in {output}")
    if bad:
        click.echo(
            f"{bad} of {len(recordings)} recordings were not aligned", err=True
        )
        sys.exit(1)
