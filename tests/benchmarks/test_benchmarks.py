import io
import json
import os
import subprocess
import sys
import tarfile

import numpy as np
from helpers.corpora import build_store, utterance, write_wav
from helpers.recipes import ROOT


def test_benchmarks_run(tmp_path):
    """Run with tiny sizes; the numbers are meaningless."""
    result = subprocess.run(
        [
            sys.executable,
            "tests/benchmarks/run.py",
            "--quick",
            "--threads=1",
            f"--output_folder={tmp_path}",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    found = json.loads((tmp_path / "benchmarks.json").read_text())
    points = {point["claim"][0] for point in found["points"]}
    assert points == set("123456")
    for point in found["points"]:
        if "difference" in point["claim"]:
            assert point["met"] == "yes", point
    assert (tmp_path / "growth.png").exists()
    assert "pack_padded_sequence" in (tmp_path / "benchmarks.md").read_text()


def test_device_benchmark_runs():
    """Run with tiny sizes on a CPU."""
    result = subprocess.run(
        [
            *(sys.executable, "tests/benchmarks/device.py"),
            *("--device=cpu", "--quick", "--threads=1"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    for work in (
        *("BLSTM over words: ours, fp32", "step of can.yaml, fp32"),
        *("epoch of 70 utterances", "Whisper base, cache of a corpus"),
        *("prediction, batches of 2", "operations"),
    ):
        assert work in result.stdout


def test_shards_equal_the_cache(tmp_path):
    for i, name in enumerate("abc"):
        write_wav(tmp_path / "corpus" / f"{name}.wav", seed=i)
    store = build_store(
        tmp_path, {name: utterance(name) for name in ("a", "b", "c")}
    )
    result = subprocess.run(
        [
            sys.executable,
            "tests/benchmarks/shards.py",
            str(store.folder),
            str(tmp_path / "shards"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    assert "| shards, in sequence | dropped" in result.stdout
    with tarfile.open(tmp_path / "shards" / "features-00000.tar") as shard:
        for name in ("a", "b", "c"):
            frames, counts = store[name]
            for kind, expected in (("frames", frames), ("counts", counts)):
                stream = shard.extractfile(f"{name}.{kind}.npy")
                found = np.load(io.BytesIO(stream.read()))
                assert np.array_equal(found, expected.numpy())
