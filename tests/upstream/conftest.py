"""A checkout of SpeechBrain, made from the installed wheel."""

import shutil
from pathlib import Path

import pytest
from helpers.recipes import ROOT
from upstream.check import commit
from upstream.export import git

import speechbrain


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Put the installed package under version control."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(
        Path(speechbrain.__file__).parent,
        folder / "speechbrain",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(ROOT / "pyproject.toml", folder)
    git(folder, "init", "--quiet")
    commit(folder, "wheel")
    return folder
