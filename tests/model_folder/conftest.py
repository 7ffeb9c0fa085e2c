"""Fixture: a model folder that tests may change."""

import shutil

import pytest


@pytest.fixture
def folder(trained, tmp_path):
    """Return a copy of a model folder."""
    return shutil.copytree(trained / "fold_1" / "model", tmp_path / "model")
