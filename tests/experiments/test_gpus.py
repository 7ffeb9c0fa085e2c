"""Runs on several GPUs, which the machine of this test does not need to have."""

import os

import pytest
import torch

from speechbrain_can.experiments import compare
from speechbrain_can.settings.run_options import choose_device


@pytest.mark.parametrize(
    "count, listed, expected",
    [
        (0, None, []),
        (1, None, []),
        (3, None, ["0", "1", "2"]),
        (2, "5,7", ["5", "7"]),
        (2, "GPU-a,GPU-b", ["GPU-a", "GPU-b"]),
    ],
)
def test_visible_gpus(count, listed, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if listed:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert compare.visible_gpus() == expected


class Finished:
    """A process that has ended."""

    returncode = 0

    def poll(self):
        """Return the exit status."""
        return 0

    def wait(self):
        """Do nothing."""

    terminate = wait


def test_runs_take_turns_on_gpus(tmp_path, monkeypatch):
    started = []

    def start(command, env, **options):
        started.append(env.get("CUDA_VISIBLE_DEVICES"))
        return Finished()

    class Bar:
        bar = type("", (), {"close": lambda self: None})()

        def __init__(self, runs):
            pass

        def show(self, running):
            pass

    runs = [
        compare.Run(tmp_path / "can.yaml", i, tmp_path / str(i), (), None)
        for i in range(5)
    ]
    monkeypatch.setattr(compare.Run, "command", lambda run: [])
    monkeypatch.setattr(compare.subprocess, "Popen", start)
    monkeypatch.setattr(compare, "Progress", Bar)
    monkeypatch.setattr(compare.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(compare, "visible_gpus", lambda: ["3", "4"])
    assert compare.train_all(runs, workers=2) == []
    assert started == ["3", "4", "3", "4", "3"]
    started.clear()
    monkeypatch.setattr(compare, "visible_gpus", list)
    compare.train_all(runs[:1], workers=2)
    assert started == [os.environ.get("CUDA_VISIBLE_DEVICES")]


def test_automatic_device(monkeypatch):
    assert choose_device("cuda:1") == "cuda:1"
    name = "speechbrain_can.settings.run_options.infer_device"
    for found, expected in (("cuda", "cuda:0"), ("cpu", "cpu")):
        monkeypatch.setattr(name, lambda: found)
        assert choose_device("auto") == expected
