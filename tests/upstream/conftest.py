"""A checkout of SpeechBrain, as far as the installed wheel goes."""

import shutil
from pathlib import Path

import pytest
from helpers.recipes import ROOT
from upstream.check import commit
from upstream.export import git

import speechbrain


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The installed package under version control."""
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
