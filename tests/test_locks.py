"""The locked versions, and the check for known vulnerabilities."""

import re

import pytest
from helpers.recipes import ROOT, load_module

LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def packages(lock):
    """Return the requirements of a lock with their hashes."""
    return re.findall(r"^(\S+)(.*(?:\n +.*)*)", lock.read_text(), re.M)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locks_contain_hashes(lock):
    for requirement, rest in packages(lock):
        assert re.fullmatch(r"[\w.-]+==[\w.+]+", requirement), requirement
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", rest), requirement


def test_locks_agree():
    by_name = {lock.stem: dict(packages(lock)) for lock in LOCKS}
    assert set(by_name) == {"audit", "build", "demo", "fuzz", "test"}
    for name in ("torch", "torchaudio", "speechbrain", "numpy"):
        demo, test = (
            {line for line in by_name[lock] if line.startswith(f"{name}==")}
            for lock in ("demo", "test")
        )
        assert demo == test != set()


def test_audit_messages():
    judge = load_module(ROOT / "requirements" / "audit.py").judge
    sound = {"name": "numpy", "version": "2.0", "vulns": []}
    bad = {
        **{"name": "torch", "version": "2.0"},
        "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}],
    }
    unknown = {"name": "tqdm", "skip_reason": "not found"}
    assert judge("x", [sound])[1] == 0
    text, status = judge("x", [sound, bad, unknown])
    assert status == 1 and "torch 2.0: CVE-1, mended in 2.1" in text
    # packages that could not be checked are reported
    text, status = judge("x", [sound, unknown])
    assert status == 2 and "tqdm" in text
    for nothing in (None, [], [unknown]):
        text, status = judge("x", nothing)
        assert status == 2 and "not audited" in text
