import io
import json
import os
import subprocess
import sys
import tarfile

import numpy as np
from helpers.corpora import build_store, utterance, write_wav
from helpers.recipes import ROOT

from speechbrain_can.settings.run_options import lstm_runs_in


def run_script(name, *arguments):
    """Run a script of this folder, assert that it succeeds, return its output."""
    result = subprocess.run(
        [sys.executable, f"tests/benchmarks/{name}", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_benchmarks_run(tmp_path):
    """Run with tiny sizes; the numbers are meaningless."""
    run_script(
        "run.py",
        "--quick",
        "--threads=1",
        f"--output_folder={tmp_path}",
    )
    found = json.loads((tmp_path / "benchmarks.json").read_text())
    points = {point["claim"][0] for point in found["points"]}
    # the only measurement of group 6 needs a processor with bfloat16
    bf16 = "6" if lstm_runs_in("bf16") else ""
    assert points == set(f"12345{bf16}")
    for point in found["points"]:
        if "difference" in point["claim"]:
            assert point["met"] == "yes", point
    assert (tmp_path / "growth.png").exists()
    assert "pack_padded_sequence" in (tmp_path / "benchmarks.md").read_text()


def test_device_benchmark_runs():
    """Run with tiny sizes on a CPU."""
    printed = run_script(
        "device.py",
        *("--device=cpu", "--quick", "--threads=1"),
    )
    for work in (
        *("BLSTM over words: ours, fp32", "step of can.yaml, fp32"),
        *("epoch of 70 utterances", "Whisper base, cache of a corpus"),
        *("prediction, batches of 2", "operations"),
    ):
        assert work in printed


def test_shards_equal_the_cache(tmp_path):
    for i, name in enumerate("abc"):
        write_wav(tmp_path / "corpus" / f"{name}.wav", seed=i)
    store = build_store(
        tmp_path, {name: utterance(name) for name in ("a", "b", "c")}
    )
    printed = run_script(
        "shards.py",
        str(store.folder),
        str(tmp_path / "shards"),
    )
    assert "| shards, in sequence | dropped" in printed
    with tarfile.open(tmp_path / "shards" / "features-00000.tar") as shard:
        for name in ("a", "b", "c"):
            frames, counts = store[name]
            for kind, expected in (("frames", frames), ("counts", counts)):
                stream = shard.extractfile(f"{name}.{kind}.npy")
                found = np.load(io.BytesIO(stream.read()))
                assert np.array_equal(found, expected.numpy())
