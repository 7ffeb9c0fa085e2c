"""Speed of Whisper with padding to 30 s and trimmed, and the difference of their layers.

    python tests/benchmarks/whisper.py openai/whisper-base FOLDER [COUNT]

COUNT recordings are chosen from FOLDER at regular intervals.
"""

import tempfile
import time
from functools import partial
from pathlib import Path

import click
import torch
from run import describe_machine
from tabulate import tabulate

from speechbrain.integrations.huggingface.whisper import Whisper
from speechbrain_can.encoders.speech import FrontEnd
from speechbrain_can.encoders.whisper import TrimmedWhisper
from speechbrain_can.io.audio import read_waveform

RATE = 16000
BATCH = 8


def differences(padded, cut, layers):
    """Return the difference of the layers of one utterance, one row per layer."""
    rows = []
    for whole, short in zip(
        padded.unflatten(1, (layers, -1)).unbind(1),
        cut.unflatten(1, (layers, -1)).unbind(1),
    ):
        cosine = torch.nn.functional.cosine_similarity(whole, short, dim=1)
        distance = (whole - short).norm() / whole.norm()
        mean = torch.nn.functional.cosine_similarity(
            whole.mean(0), short.mean(0), dim=0
        )
        rows.append((distance.item(), cosine.mean().item(), mean.item()))
    return rows


@torch.no_grad()
@click.command()
@click.argument("source")
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.argument("count", type=int, default=40)
@click.option("--threads", type=int, default=1, show_default=True)
def main(source, folder, count, threads):
    """Compare both models in one run."""
    torch.set_num_threads(threads)
    paths = sorted(folder.rglob("*.wav"))
    paths = paths[:: max(1, len(paths) // count)][:count]
    waveforms = [read_waveform(path, RATE) for path in paths]
    waveforms.sort(key=len)
    options = {"encoder_only": True, "output_all_hiddens": True}
    with tempfile.TemporaryDirectory() as scratch:
        padded, cut = (
            FrontEnd(partial(k, source=source, save_path=scratch, **options))
            for k in (Whisper, TrimmedWhisper)
        )
    hearing = {
        "padded to 30 s": lambda: [padded(w) for w in waveforms],
        "cut, one by one": lambda: [cut(w) for w in waveforms],
        f"cut, in batches of {BATCH}": lambda: [
            frames
            for i in range(0, len(waveforms), BATCH)
            for frames in cut.encode(waveforms[i : i + BATCH])
        ],
    }
    found, rows = {}, []
    for name, hear in hearing.items():
        start = time.perf_counter()
        found[name] = hear()
        seconds = time.perf_counter() - start
        rows.append((name, len(waveforms) / seconds, seconds))
    slowest = rows[0][2]
    click.echo(str(describe_machine(threads)))
    audio = sum(map(len, waveforms)) / RATE / len(waveforms)
    click.echo(f"{len(waveforms)} utterances, {audio:.1f} s in the mean\n")
    click.echo(
        tabulate(
            [(name, rate, slowest / s) for name, rate, s in rows],
            ["Whisper", "utterances a second", "x padded"],
            tablefmt="github",
            floatfmt=".3g",
        )
    )
    whole, alone, together = found.values()
    apart = max((a - b).norm() / a.norm() for a, b in zip(alone, together))
    click.echo(f"\nAlone and in a batch differ by {apart:.1e} of their norm.\n")
    layers = padded.encoder.model.config.encoder_layers + 1
    values = torch.tensor(
        [differences(a, b, layers) for a, b in zip(whole, alone)]
    ).mean(0)
    click.echo(
        tabulate(
            [(i, *row) for i, row in enumerate(values.tolist())],
            [
                *("layer", "relative distance", "cosine of frames"),
                "cosine of utterance means",
            ],
            tablefmt="github",
            floatfmt=".3f",
        )
    )


if __name__ == "__main__":
    main()
