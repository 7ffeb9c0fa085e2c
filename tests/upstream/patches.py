"""SpeechBrain's defects: each patch's tests fail before it and pass after it.

    python tests/upstream/patches.py CHECKOUT

The checkout stays as it is.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import click
from check import make_environment, run

PATCHES = sorted((Path(__file__).parent / "patches").glob("*.patch"))
TESTS = ("tests/unittests/*", "speechbrain/integrations/tests/*")


def files_of(patch):
    """Paths that a patch changes."""
    text = patch.read_text(encoding="utf-8")
    return re.findall(r"^diff --git a/\S+ b/(\S+)$", text, re.MULTILINE)


def is_test(path):
    """Whether a path of a patch is a test of it."""
    return any(Path(path).match(pattern) for pattern in TESTS)


def apply(tree, patch, *options):
    """Applies a patch, or what options leave of it, to a tree."""
    subprocess.run(
        ["git", "apply", *options, str(patch)], cwd=tree, check=True
    )


def before_and_after(tree, patch, environment):
    """Whether a patch's tests pass without the rest of it, and with it."""
    tests = [path for path in files_of(patch) if is_test(path)]
    command = ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    apply(tree, patch, *(f"--include={path}" for path in tests))
    before = run(command, tree, environment)
    apply(tree, patch, *(f"--exclude={path}" for path in tests))
    return before, run(command, tree, environment)


@click.command(help=__doc__)
@click.argument("checkout", type=click.Path(exists=True))
def main(checkout):
    failed = []
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
            if not any(map(is_test, files_of(patch))):
                apply(tree, patch)
                click.echo(f"{patch.stem:<24} applies; it corrects a table")
                continue
            (passed_before, said_before), (passed_after, said_after) = (
                before_and_after(tree, patch, environment)
            )
            good = passed_after and not passed_before
            for when, said in (("before", said_before), ("after", said_after)):
                click.echo(f"{patch.stem:<24} {when:<7} {said.splitlines()[-1]}")
            if not good:
                failed.append(patch.stem)
                click.echo((said_before if passed_before else said_after)[-3000:])
        for order in (PATCHES, PATCHES[::-1]):
            fresh()
            for patch in order:
                apply(tree, patch)
        click.echo("All apply together, in either order")
    if failed:
        raise click.ClickException(", ".join(failed))


if __name__ == "__main__":
    main()
