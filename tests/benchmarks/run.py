"""Run all benchmarks, print a table, write JSON, Markdown and a plot.

python tests/benchmarks/run.py
"""

import argparse
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import encoders
import features
import networks
import torch
from matplotlib.figure import Figure
from measure import in_process_of_its_own
from tabulate import tabulate

from speechbrain_can.io.files import atomic_write, write_json
from speechbrain_can.training.environment import processor_name
from speechbrain_can.training.memory import keep_freed_memory

# Typical number of epochs of CAN with early stopping on the controlled corpora
EPOCHS = 40
SIZES = (100, 750, 2500, 7486, 10000)
PACKAGES = "torch torchaudio speechbrain librosa opensmile transformers".split()


def describe_machine(threads):
    """Return date, machine and versions."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor_name(),
        "threads": threads,
        "Python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def compare(rows):
    """Return the rows of the table, each relative to the first of its group."""
    ours = {}
    for row in rows:
        ours.setdefault(row.group, row.seconds / row.audio)
    return [
        {
            "work": row.group,
            "by": row.case,
            "s": f"{row.seconds:.4g}",
            "audio s": f"{row.audio:.0f}",
            "seconds of audio per second": f"{row.audio / row.seconds:,.0f}",
            "x ours": f"{row.seconds / row.audio / ours[row.group]:.2f}"
            if row.group != "prediction"
            else "",
        }
        for row in rows
    ]


def check_points(rows, equal, memory, growth, bf16):
    """Compare measurements with targets.

    Targets in parentheses were added later.
    """
    seconds = {(row.group, row.case): row.seconds for row in rows}
    audio = {(row.group, row.case): row.audio for row in rows}
    points = []

    def point(name, value, bar, at_least=True, unit="", own=False):
        met = value >= bar if at_least else value <= bar
        text = f"{'>=' if at_least else '<='} {bar:g}{unit}"
        points.append(
            {
                "claim": name,
                "measured": f"{value:,.3g}{unit}",
                "target": f"({text})" if own else text,
                "met": "yes" if met else "no",
            }
        )

    for level in ("words", "utterances"):
        group = f"BLSTM over {level}"
        ours = seconds[group, "ours"]
        published = "padded to words x frames, as published"
        if level == "utterances":
            published = "padded to the longest"
        bar = 20 if level == "words" else 1
        point(
            f"1 {group}: {published}, x ours",
            seconds[group, published] / ours,
            bar,
            own=level == "utterances",
        )
        point(
            f"1 {group}: packed, x ours",
            seconds[group, "pack_padded_sequence"] / ours,
            5,
        )
        point(
            f"1 {group}: time relative to its matrix products",
            ours / seconds[group, "only the matrix products"],
            2,
            at_least=False,
        )
        point(
            f"1 {group}: difference from packed, outputs and gradients",
            max(equal[level]),
            1e-5,
            at_least=False,
        )
    group = "features of words"
    point(
        "2 features: torchaudio, one call per word, x ours",
        seconds[group, "torchaudio, one call per word"]
        / seconds[group, "ours"],
        15,
    )
    point(
        "2 features, one thread: time relative to FFT, squares and mel product",
        seconds[group, "ours, one thread"]
        / seconds[group, f"{features.ALONE}, one thread"],
        1.5,
        at_least=False,
    )
    single = group, "ours, one thread"
    point(
        "2 features: seconds of audio per second",
        audio[single] / seconds[single],
        1000,
    )
    point(
        f"2 features of {memory['duration'] / 3600:.2g} h in one file: memory",
        memory["megabytes"],
        1000,
        at_least=False,
        unit=" MB",
        own=True,
    )
    by_size = {found["utterances"]: found for found in growth}
    largest = by_size.get(7486, growth[-1])
    smaller = by_size.get(750, growth[0])
    point(
        f"3 epoch of {largest['utterances']} utterances: share of time in the model",
        largest["model"] / largest["epoch"],
        0.85,
    )
    point(
        f"3 ten folds of {EPOCHS} epochs with {largest['utterances']} utterances, "
        "extrapolated",
        # 80% are trained on; 10% are validated on, forward pass only
        10 * EPOCHS * (0.8 + 0.1 / 3) * largest["epoch"] / 3600,
        12,
        at_least=False,
        unit=" h",
        own=True,
    )
    point(
        f"4 growth of training memory, {smaller['utterances']} to "
        f"{largest['utterances']} utterances",
        largest["megabytes"] - smaller["megabytes"],
        200,
        at_least=False,
        unit=" MB",
    )
    for work in ("preparation", "features"):
        rates = [
            found[work] / found["hours"]
            for found in growth
            if found["utterances"] >= smaller["utterances"]
        ]
        point(
            f"4 {work}: cores in use",
            largest[f"{work} cores"],
            1.5,
            own=True,
        )
        point(
            f"4 {work}: time per hour of audio, slowest of the {len(rates)} sizes "
            f"of at least {smaller['utterances']} utterances, relative to "
            f"{smaller['utterances']}",
            max(rates) / rates[0],
            1.2,
            at_least=False,
            own=True,
        )
    one, many = [row for row in rows if row.group == "prediction"]
    point(
        f"5 prediction of {one.case}",
        1000 * one.seconds,
        10,
        at_least=False,
        unit=" ms",
    )
    point(
        f"5 prediction of {many.case}: seconds of audio per second",
        many.audio / many.seconds,
        500,
    )
    steps = {row.case: row.seconds for row in rows}
    point(
        "5 training step with cached layers of wav2vec2-base, relative to MFCC",
        steps["CAN with cached layers of wav2vec2-base"]
        / steps["CAN with MFCC"],
        1,
        at_least=False,
        own=True,
    )
    point(
        "5 training step of can_fast.yaml, relative to can.yaml",
        steps["CAN with MFCC, subsampled (can_fast.yaml)"]
        / steps["CAN with MFCC"],
        0.5,
        at_least=False,
        own=True,
    )
    if bf16 is not None:  # supported by the processor
        point(
            "6 --precision=bf16: difference of the logits relative to the largest",
            bf16,
            0.05,
            at_least=False,
            own=True,
        )
    return points


def plot_growth(path, growth):
    """Plot time and memory by size of the corpus."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes = [found["utterances"] for found in growth]
    for work in ("preparation", "features", "epoch"):
        left.loglog(sizes, [found[work] for found in growth], "o-", label=work)
    left.set_ylabel("seconds")
    left.legend()
    right.semilogx(sizes, [found["megabytes"] for found in growth], "o-")
    right.set_ylabel("peak memory of training (MB)")
    right.set_ylim(0)
    for axes in (left, right):
        axes.set_xlabel("utterances")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main():
    """Parse the command line and run the benchmarks."""
    parser = argparse.ArgumentParser(
        description="Measure speed and memory of speechbrain_can and of common "
        "alternatives. Takes about ten minutes and 2 GB of disk space."
    )
    parser.add_argument(
        "--output_folder", type=Path, default=Path("results/benchmarks")
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(
        "--quick",
        action="store_true",
        help="smoke test with tiny sizes",
    )
    options = parser.parse_args()
    machine = describe_machine(options.threads)
    keep_freed_memory()  # as in training, for all cases
    torch.set_num_threads(options.threads)
    encoder_rows, equal = encoders.run(options.threads, options.quick)
    feature_rows, memory = features.run(options.threads, options.quick)
    network_rows, bf16 = networks.run(options.threads, options.quick)
    rows = [*encoder_rows, *feature_rows, *network_rows]
    training = Path(__file__).with_name("training.py")
    growth = [
        in_process_of_its_own(training, size, options.threads)
        for size in ((70, 140) if options.quick else SIZES)
    ]
    points = check_points(rows, equal, memory, growth, bf16)
    text = "\n\n".join(
        [
            ", ".join(f"{key} {value}" for key, value in machine.items()),
            tabulate(points, headers="keys", tablefmt="github"),
            tabulate(
                compare(rows),
                headers="keys",
                tablefmt="github",
                disable_numparse=True,
            ),
            tabulate(growth, headers="keys", tablefmt="github", floatfmt=".3g"),
        ]
    )
    print(text)
    options.output_folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(options.output_folder / "benchmarks.md") as stream:
        stream.write(text + "\n")
    write_json(
        options.output_folder / "benchmarks.json",
        {
            "machine": machine,
            "points": points,
            "cases": [row._asdict() for row in rows],
            "growth": growth,
        },
    )
    plot_growth(options.output_folder / "growth.png", growth)


if __name__ == "__main__":
    main()
