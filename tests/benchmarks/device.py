"""Training, encoders and prediction on a GPU, compared with padding and packing.

    python tests/benchmarks/device.py --device=cuda:0

All figures of a table come from one run on one device. On a CPU, ``--quick`` runs
tiny sizes to test this script.
"""

import argparse
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
import transformers
from encoders import HIDDEN, INPUT, bidirectional, packed_outputs
from measure import draw_lengths
from run import describe_machine
from tabulate import tabulate
from torch.utils._python_dispatch import TorchDispatchMode
from training import (
    CLASSES,
    HPARAMS,
    RATE,
    brain_of,
    hparams_in,
    measure_data,
    measure_training,
)

from speechbrain.core import Stage
from speechbrain_can.alignment.words import Word
from speechbrain_can.encoders.speech import FrontEnd
from speechbrain_can.encoders.whisper import TrimmedWhisper
from speechbrain_can.features.cache import FeatureCache
from speechbrain_can.features.hidden import SegmentHidden
from speechbrain_can.features.segments import aligned_segments
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.lobes.ragged import RaggedBLSTM, WordFrames, pad
from speechbrain_can.model_folder.write import (
    prediction_settings,
    write_model_folder,
)
from speechbrain_can.settings.hparams import read_settings
from speechbrain_can.training.data import Batch

PRECISIONS = ("fp32", "fp16", "bf16")
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
WAITS = (
    "cudaStreamSynchronize",
    "cudaDeviceSynchronize",
    "cudaEventSynchronize",
)


def wait_for(device):
    """Wait until a device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def milliseconds(function, device, repetitions):
    """Return the median time of a call, after three others."""
    times = []
    for _ in range(repetitions + 3):
        wait_for(device)
        started = time.perf_counter()
        function()
        wait_for(device)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times[3:])


def autocast(device, precision):
    """Return the context of a precision."""
    return torch.autocast(
        device.type,
        dtype=DTYPES.get(precision, torch.bfloat16),
        enabled=precision in DTYPES,
    )


def precisions_of(device):
    """Return the precisions that the recurrence supports on a device."""
    return PRECISIONS if device.type == "cuda" else PRECISIONS[:1]


def recurrence(device, quick, repetitions):
    """Measure the BLSTM over the frames of words, forward and backward."""
    word_counts, counts = map(
        torch.from_numpy, draw_lengths(4 if quick else 64)
    )
    flat = torch.randn(int(counts.sum()), INPUT)
    ours = RaggedBLSTM(INPUT, HIDDEN)
    theirs = bidirectional(ours)
    padded = pad(flat, counts)
    published = pad(padded.flatten(1), word_counts)
    published = published.view(-1, *padded.shape[1:]).to(device)
    flat, padded = flat.to(device), padded.to(device)
    ours, theirs = ours.to(device), theirs.to(device)

    def timed(function, precision="fp32"):
        def step():
            with autocast(device, precision):
                output = function()
            output.float().sum().backward()

        return milliseconds(step, device, repetitions)

    rows = [
        (
            f"BLSTM over words: ours, {precision}",
            timed(lambda: ours(flat, counts), precision),
        )
        for precision in precisions_of(device)
    ]
    for precision in precisions_of(device):
        rows.append(
            (
                f"BLSTM over words: torch.nn.LSTM, padded words, {precision}",
                timed(lambda: theirs(padded)[0], precision),
            )
        )
    return [
        *rows,
        (
            "BLSTM over words: packed",
            timed(lambda: packed_outputs(theirs, padded, counts)),
        ),
        (
            "BLSTM over words: padded to words x frames, as published",
            timed(lambda: theirs(published)[0]),
        ),
    ]


def make_batch(utterances):
    """Return a batch with lengths that follow IEMOCAP, in pinned memory on a GPU."""
    word_counts, frame_counts = map(torch.from_numpy, draw_lengths(utterances))
    batch = Batch(
        ids=[f"u{i}" for i in range(len(word_counts))],
        words=[[f"w{i}" for i in range(n)] for n in word_counts.tolist()],
        audio=WordFrames(
            torch.randn(int(frame_counts.sum()), INPUT),
            frame_counts,
            word_counts,
        ),
        targets=torch.arange(len(word_counts)) % len(CLASSES),
    )
    return batch.pin_memory() if torch.cuda.is_available() else batch


class Operations(TorchDispatchMode):
    """Number of operations of torch, most of which launch a kernel."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Count an operation."""
        self.count += not function.is_view
        return function(*args, **(kwargs or {}))


def count_calls(step, device):
    """Return launches and waits of a call, or its operations on a CPU."""
    if device.type != "cuda":
        with Operations() as operations:
            step()
        return {"operations": operations.count}
    activities = [
        torch.profiler.ProfilerActivity.CPU,
        torch.profiler.ProfilerActivity.CUDA,
    ]
    wait_for(device)
    with torch.profiler.profile(activities=activities) as profile:
        step()
    calls = {event.key: event.count for event in profile.key_averages()}
    return {
        "launches": calls.get("cudaLaunchKernel", 0)
        + calls.get("cudaLaunchKernelExC", 0),
        "asynchronous copies": calls.get("cudaMemcpyAsync", 0),
        "waits": sum(calls.get(name, 0) for name in WAITS),
    }


def training_steps(device, quick, repetitions, scratch):
    """Measure a step of ``can.yaml``; return rows and counts by precision."""
    rows, counts = [], {}
    batch = make_batch(4 if quick else 64)
    for precision in precisions_of(device):
        hparams = hparams_in(scratch / precision)
        hparams["model"].fit_vocabulary(
            [w for words in batch.words for w in words]
        )
        brain = brain_of(hparams, str(device), precision)
        brain.init_optimizers()
        brain.on_stage_start(Stage.TRAIN, epoch=1)
        brain.modules.train()
        brain.step = 1
        step = partial(brain.fit_batch, batch)
        rows.append(
            (
                f"step of can.yaml, {precision}",
                milliseconds(step, device, repetitions),
            )
        )
        counts[precision] = count_calls(step, device)
    return rows, counts


def epochs(device, quick, scratch):
    """Measure an epoch of ``can.yaml`` with cached features, in seconds."""
    utterances = 70 if quick else 7486
    measure_data(utterances, torch.get_num_threads(), scratch)
    rows = []
    for workers in (0,) if quick else (0, 4):
        for precision in precisions_of(device):
            found = measure_training(
                torch.get_num_threads(),
                scratch,
                str(device),
                precision,
                workers,
            )
            name = f"epoch of {utterances} utterances, {precision}, {workers} workers"
            rows.append((name, 1000 * found["epoch"]))
    return rows


def prediction(device, quick, scratch):
    """Measure utterances of one second per second, with alignments."""
    hparams = hparams_in(scratch / "predict")
    words = [Word(f"w{i}", i / 4, (i + 1) / 4) for i in range(4)]
    hparams["model"].fit_vocabulary([word.text for word in words])
    settings = read_settings(
        HPARAMS, {"output_folder": "x", "data_folder": "x", "fold": 0}
    )
    write_model_folder(
        scratch / "model",
        prediction_settings(settings, hparams, 1.0),
        CLASSES,
        "",
        hparams["modules"],
    )
    recognizer = EmotionRecognizer.from_hparams(
        scratch / "model", run_opts={"device": str(device)}
    )
    rows = []
    for size in (2,) if quick else (1, 64):
        wavs = torch.randn(size, RATE)
        classify = partial(
            recognizer.classify_batch, wavs, alignments=[words] * size
        )
        seconds = milliseconds(classify, device, 3) / 1000
        rows.append((f"prediction, batches of {size}", size / seconds))
    return rows


def whisper_base(folder, quick):
    """Write Whisper base, or a tiny model, with random weights."""
    tiny = dict.fromkeys(("encoder_layers", "decoder_layers"), 1)
    tiny.update(dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 16))
    base = dict.fromkeys(("encoder_layers", "decoder_layers"), 6)
    base.update(dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 2048))
    heads = ("encoder_attention_heads", "decoder_attention_heads")
    config = transformers.WhisperConfig(
        d_model=16 if quick else 512,
        **(tiny if quick else base),
        **dict.fromkeys(heads, 2 if quick else 8),
    )
    transformers.WhisperModel(config).save_pretrained(folder)
    transformers.WhisperFeatureExtractor().save_pretrained(folder)
    vocabulary = folder / "vocab.json"
    vocabulary.write_text('{"a": 0, "<|endoftext|>": 1}')
    (folder / "merges.txt").write_text("#version: 0.2\n")
    transformers.WhisperTokenizer(
        str(vocabulary), str(folder / "merges.txt")
    ).save_pretrained(folder)
    return folder


def front_end_of(source):
    """Return the function that builds the encoder of a folder."""
    return partial(
        TrimmedWhisper,
        source=str(source),
        save_path=str(source.with_name("save")),
        encoder_only=True,
        output_all_hiddens=True,
    )


def frozen_encoder(device, quick, scratch):
    """Measure utterances of 2.4 s per second in Whisper base."""
    build = front_end_of(whisper_base(scratch / "whisper", quick))
    waveforms = [
        torch.randn(int(2.4 * RATE)) for _ in range(4 if quick else 512)
    ]
    rows = []
    front_end = FrontEnd(build, RATE).to(device)
    batches = (4,) if quick else (8, 64)
    for size in batches:
        for precision in precisions_of(device):

            @torch.no_grad()
            def encode():
                on_device = [w.to(device) for w in waveforms]
                with autocast(device, precision):
                    for i in range(0, len(on_device), size):
                        front_end.encode(on_device[i : i + size])

            seconds = milliseconds(encode, device, 1) / 1000
            name = f"Whisper base, encoder only, batches of {size}, {precision}"
            rows.append((name, len(waveforms) / seconds))
    return rows


def feature_cache(device, quick, scratch):
    """Measure utterances per second that the feature cache encodes and stores."""
    from training import write_noise

    utterances = write_noise(scratch / "cache", 8 if quick else 2000)
    build = front_end_of(scratch / "whisper")
    compute = SegmentHidden(build, device=str(device))
    started = time.perf_counter()
    FeatureCache.build(
        scratch / "hidden",
        {u.utterance_id: u for u in utterances},
        scratch / "cache",
        compute,
        aligned_segments,
        num_workers=0 if quick else 4,
    )
    seconds = time.perf_counter() - started
    return [("Whisper base, cache of a corpus", len(utterances) / seconds)]


def main():
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", type=torch.device, required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    options = parser.parse_args()
    device, quick = options.device, options.quick
    torch.set_num_threads(options.threads)
    repetitions = 1 if quick else 20
    machine = describe_machine(options.threads)
    if device.type == "cuda":
        machine["GPU"] = torch.cuda.get_device_name(device)
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        rows = recurrence(device, quick, repetitions)
        steps, counts = training_steps(device, quick, repetitions, scratch)
        rows += steps + epochs(device, quick, scratch / "epoch")
        rates = frozen_encoder(device, quick, scratch)
        rates += feature_cache(device, quick, scratch)
        rates += prediction(device, quick, scratch)
    for title, table in (("ms", rows), ("utterances/s", rates)):
        text = tabulate(
            table, headers=["work", title], tablefmt="github", floatfmt=".3g"
        )
        print(f"\n{text}")
    calls = [
        {"step of can.yaml": key, **value} for key, value in counts.items()
    ]
    print(f"\n{tabulate(calls, headers='keys', tablefmt='github')}")


if __name__ == "__main__":
    main()
