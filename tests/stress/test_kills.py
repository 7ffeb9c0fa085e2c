"""Short version of the kills of ``make stress``."""

import subprocess
import sys

from helpers.recipes import RECIPES, ROOT
from stress.counts import read
from stress.kills import compare_arguments

from speechbrain_can.commands.compare import split_arguments


def test_compare_accepts_its_arguments(monkeypatch):
    """The short version does not kill ``compare``."""
    monkeypatch.chdir(RECIPES["IEMOCAP"])
    arguments = compare_arguments("corpus")
    options = ("--output-folder", "--seeds")
    files, _ = split_arguments(
        [a for a in arguments if a.partition("=")[0] not in options]
    )
    assert len(files) == 2


def test_killed_commands_end_the_same():
    """In its own process, because a process that has computed cannot be forked."""
    result = subprocess.run(
        [sys.executable, "tests/stress/kills.py", "8", "--seed=1", "--short"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    counts = read(result.stdout)["kill a command and run it again"]
    assert counts["survived"] == counts["tried"] >= 8
