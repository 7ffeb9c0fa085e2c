"""Patches for SpeechBrain: the tests of each one fail without it and pass with it.

The checkout is not modified.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from upstream.check import commit, make_environment, run
from upstream.export import PARTS, export

PATCHES = sorted((Path(__file__).parent / "patches").glob("*.patch"))
# SpeechBrain's own tests of what the patches change
NEIGHBOURS = [
    f"tests/unittests/test_{name}.py"
    for name in ("RNN", "core", "checkpoints", "epoch_loop", "pretrainer")
]
TESTS = ("tests/unittests/*", "speechbrain/integrations/tests/*")


def files_of(patch):
    """Return the paths that a patch changes."""
    text = patch.read_text(encoding="utf-8")
    return re.findall(r"^diff --git a/\S+ b/(\S+)$", text, re.MULTILINE)


def own_tests(patch):
    """Return the paths of the tests of a patch."""
    return [
        path
        for path in files_of(patch)
        if any(Path(path).match(pattern) for pattern in TESTS)
    ]


def apply(tree, patch, tests_alone=None):
    """Apply a patch to a tree: all of it, only its tests, or the rest."""
    options = (
        []
        if tests_alone is None
        else [
            f"--{'include' if tests_alone else 'exclude'}={path}"
            for path in own_tests(patch)
        ]
    )
    subprocess.run(["git", "apply", *options, str(patch)], cwd=tree, check=True)


def try_patch(tree, patch, environment):
    """Return whether the tests of a patch pass without and with it."""
    command = ["python", "-m", "pytest", "-q", *own_tests(patch)]
    apply(tree, patch, tests_alone=True)
    before = run(command, tree, environment)
    apply(tree, patch, tests_alone=False)
    return before, run(command, tree, environment)


def failures(tree, environment):
    """Return SpeechBrain's own tests that fail in a tree."""
    _, printed = run(
        ["python", "-m", "pytest", "-q", *NEIGHBOURS], tree, environment
    )
    return set(re.findall(r"^FAILED (\S+)", printed, re.MULTILINE))


@click.command(help=__doc__)
@click.argument("checkout", type=click.Path(exists=True))
def main(checkout):
    failed = []
    changed = {
        path
        for patch in PATCHES
        for path in files_of(patch)
        if path.endswith(".py")
    }
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "speechbrain"
        environment = make_environment(f"{scratch}/environment", tree)

        def fresh():
            shutil.rmtree(tree, ignore_errors=True)
            subprocess.run(
                ["git", "clone", "--quiet", checkout, str(tree)], check=True
            )

        for patch in PATCHES:
            fresh()
            if not own_tests(patch):
                apply(tree, patch)
                click.echo(f"{patch.stem:<20} applies; it corrects a table")
                continue
            before, after = try_patch(tree, patch, environment)
            for when, (_, said) in (("before", before), ("after", after)):
                click.echo(
                    f"{patch.stem:<20} {when:<7} {said.splitlines()[-1]}"
                )
            if before[0] or not after[0]:
                failed.append(patch.stem)
                click.echo((before if before[0] else after)[1][-3000:])
        fresh()
        known = failures(tree, environment)
        for patch in PATCHES[::-1]:
            apply(tree, patch)
        fresh()
        for patch in PATCHES:
            apply(tree, patch)
        commit(tree, "patches")
        click.echo("All apply together, in either order")
        new = failures(tree, environment) - known
        click.echo(
            f"{len(known)} of SpeechBrain's own tests of these files fail "
            f"without the patches, {len(new)} more with them"
        )
        failed.extend(sorted(new))
        for name, command in {
            "ruff": [sys.executable, "-m", "ruff", "check", *changed],
            "ruff format": [
                *(sys.executable, "-m", "ruff", "format", "--check", *changed)
            ],
            "docstrings": [
                *("python", "-m", "pytest", "-q"),
                "tests/consistency/test_docstrings.py",
            ],
        }.items():
            passed, printed = run(command, tree, environment)
            click.echo(f"{name:<20} {'passed' if passed else 'FAILED'}")
            if not passed:
                failed.append(name)
                click.echo(printed[-3000:])
        for part in PARTS:
            export(tree, part)
            commit(tree, part)
        click.echo("The contribution goes on top of them")
    if failed:
        raise click.ClickException(", ".join(failed))


if __name__ == "__main__":
    main()
