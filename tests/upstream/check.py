"""Run SpeechBrain's checks on the contribution.

The checkout is not modified: its last commit is cloned, and the pull requests are exported,
committed and checked there one after the other.
"""

import os
import re
import shutil
import site
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import click
from upstream.export import PARTS, ExportError, export, git
from upstream.merge import RECIPE

# Hub models in our YAML files, and their tiny replacements
TINY = {
    "wav2vec2": "facebook/wav2vec2-base",
    "hubert": "facebook/hubert-base-ls960",
    "wavlm": "microsoft/wavlm-base-plus",
    "bert": "google-bert/bert-base-uncased",
    "roberta": "FacebookAI/roberta-base",
}


def checks(checkout, part):
    """Return name, command and directory of each check of a pull request."""
    written = git(checkout, "diff", "--name-only", "HEAD~1").split()
    python = [path for path in written if path.endswith(".py")]
    tests = [path for path in python if "/test_" in path]
    library = [
        path
        for path in python
        if path.startswith("speechbrain/") and path not in tests
    ]
    pytest = ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ruff = [sys.executable, "-m", "ruff"]
    every = git(checkout, "ls-files", "*.py").split()
    yield "ruff format", [*ruff, "format", "--check", *every]
    yield "ruff check", [*ruff, "check", *every]
    yaml = git(checkout, "ls-files", "*.yaml", "*.yml").split()
    yield "yamllint", ["yamllint", "--no-warnings", *yaml]
    yield (
        "codespell",
        [
            *("codespell", "--ignore-words=.dict-speechbrain.txt"),
            *(path for path in written if not path.endswith(".csv")),
        ],
    )
    for name in ("docstrings", "recipe", "yaml"):
        path = f"tests/consistency/test_{name}.py"
        yield f"consistency: {name}", [*pytest, path]
    yield "doctests", [*pytest, "--doctest-modules", *library]
    yield "unit tests", [*pytest, *tests]
    files = [path for path in written if path.endswith(".yaml")]
    if part == "encoders":
        yield "models for the hub's cache", fill_cache()
    yield "YAML loads", with_recipes("load_yaml_test(**ours)", files)
    train = 'run_recipe_tests(run_opts="--device=cpu", **ours)'
    yield "recipe tests", with_recipes(train, files)
    yield "documentation", documentation(library, checkout.parent / "docs")


def with_recipes(call, files):
    """Return one of SpeechBrain's test functions for the rows of some hparams files."""
    rows = {"filters_fields": ["Hparam_file"], "filters": [files]}
    return [
        *("python", "-c"),
        "import sys; from tests.utils.recipe_tests import *; "
        f"ours = {rows}; sys.exit(not {call})",
    ]


def fill_cache():
    """Write tiny models to the hub cache under the names in the YAML files."""
    saved = "tests/tmp/tiny_models"
    cache = RECIPE / "results" / "pretrained"
    commands = [
        f"python speechbrain/integrations/tests/test_word_encoders.py {saved}"
    ]
    for name, source in TINY.items():
        folder = cache / f"models--{source.replace('/', '--')}"
        commands += [
            f"mkdir -p {folder}/refs {folder}/snapshots",
            f"cp -r {saved}/{name} {folder}/snapshots/tiny",
            f"printf tiny > {folder}/refs/main",
        ]
    return ["bash", "-c", " && ".join(commands)]


def documentation(modules, folder):
    """Build the documentation of our modules with warnings as errors."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    pages = []
    for path in modules:
        name = path[: -len(".py")].replace("/", ".")
        title = f"{name}\n{'=' * len(name)}\n\n"
        page = f"{title}.. automodule:: {name}\n   :members:\n"
        (folder / f"{name}.rst").write_text(page)
        pages.append(f"   {name}\n")
    contents = "Modules\n=======\n\n.. toctree::\n\n" + "".join(pages)
    (folder / "index.rst").write_text(contents)
    settings = Path(__file__).parents[2] / "docs"
    return [
        *("python", "-m", "sphinx", "-q", "-W", "-D", "root_doc=index"),
        *("-c", str(settings)),
        *(str(folder), str(folder / "html")),
    ]


def commit(checkout, message):
    """Commit all changes."""
    git(checkout, "add", "--all")
    # independent of the user's git configuration
    settings = {
        "user.name": "export",
        "user.email": "export",
        "commit.gpgsign": "false",
        "core.hooksPath": "/dev/null",
    }
    given = [("-c", f"{key}={value}") for key, value in settings.items()]
    git(checkout, *sum(given, ()), "commit", "--quiet", "-m", message)


def make_environment(folder, checkout):
    """Create an environment in which ``speechbrain`` is the checkout."""
    venv.create(folder, with_pip=False)
    (packages,) = Path(folder).glob("lib/python*/site-packages")
    ours = "".join(
        f"import site; site.addsitedir({path!r})\n"
        for path in site.getsitepackages()
    )
    (packages / "checkout.pth").write_text(f"{checkout}\n{ours}")
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "PATH": os.pathsep.join(
            [
                f"{folder}/bin",
                str(Path(sys.executable).parent),
                os.environ["PATH"],
            ]
        ),
    }
    for name in ("PYTHONPATH", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    return environment


def run(command, checkout, environment):
    """Run a check; return whether it passed and its output."""
    result = subprocess.run(
        command,
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    return result.returncode == 0, result.stdout.strip()


@click.command(help=__doc__)
@click.argument("checkout", type=click.Path(exists=True))
def main(checkout):
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "speechbrain"
        subprocess.run(
            ["git", "clone", "--quiet", checkout, str(clone)], check=True
        )
        environment = make_environment(f"{scratch}/environment", clone)
        newest = git(clone, "log", "-1", "--format=%h of %ad").strip()
        click.echo(f"SpeechBrain {newest}")
        for part in PARTS:
            export(clone, part)
            commit(clone, part)
            click.echo(f"\nPart {part!r}")
            click.echo(git(clone, "diff", "--stat=100", "HEAD~1"))
            export(clone, part)
            if git(clone, "status", "--porcelain"):
                raise ExportError(f"written again, part {part!r} is another")
            for name, command in checks(clone, part):
                passed, printed = run(command, clone, environment)
                result = "passed" if passed else "FAILED"
                summary = re.search(
                    r"^\d+ .* in [\d.]+s", printed, re.MULTILINE
                )
                click.echo(
                    f"{name:<24} {result}  {summary[0] if summary else ''}"
                )
                if not passed:
                    failed.append(f"{part}: {name}")
                    click.echo(printed[-3000:])
    if failed:
        raise click.ClickException("failed: " + ", ".join(failed))


if __name__ == "__main__":
    try:
        main()
    except ExportError as error:
        raise SystemExit(f"Error: {error}")
