"""Software versions and hardware that results depend on."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("speechbrain_can", "speechbrain", "torch", "torchaudio", "numpy")


def describe_environment(
    device: str | torch.device = "cpu",
) -> dict[str, str | int]:
    """Return versions, processor and number of threads by name."""
    gpu = str(device).startswith("cuda")
    return {
        "Python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if gpu else str(device),
    }


def processor_name() -> str:
    """Return the processor model."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    models = [
        line.partition(":")[2].strip()
        for line in lines
        if line.startswith("model name")
    ]
    return models[0] if models else platform.processor() or platform.machine()


def command_line() -> str:
    """Return the command of this process."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
