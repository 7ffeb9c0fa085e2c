"""Bugs of the installed SpeechBrain and their patches.

``make upstream`` tests patches of recipes, which the wheel does not contain.
"""

import shutil

import pytest
from upstream.check import make_environment, run
from upstream.patches import PATCHES, apply, files_of, own_tests

OF_THE_LIBRARY = [
    patch
    for patch in PATCHES
    if any(
        path.startswith("speechbrain/")
        for path in set(files_of(patch)) - set(own_tests(patch))
    )
]


@pytest.fixture(scope="module")
def tree(wheel, tmp_path_factory):
    tree = tmp_path_factory.mktemp("patched") / "speechbrain"
    shutil.copytree(wheel, tree)
    return tree


def test_each_patch_fails_before_and_passes_after(tree, tmp_path):
    environment = make_environment(tmp_path, tree)
    tests = [path for patch in OF_THE_LIBRARY for path in own_tests(patch)]
    assert len(tests) == len(OF_THE_LIBRARY) == 5
    command = ["python", "-m", "pytest", "-q", *tests]
    for patch in OF_THE_LIBRARY:
        apply(tree, patch, tests_alone=True)
    passed, printed = run(command, tree, environment)
    for path in tests:
        assert f"FAILED {path}" in printed, f"{path}: mended meanwhile?"
    for patch in OF_THE_LIBRARY:
        apply(tree, patch, tests_alone=False)
    passed, printed = run(command, tree, environment)
    assert passed, printed
