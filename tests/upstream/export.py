"""Write the contribution to a checkout of SpeechBrain.

The exported files do not import ``speechbrain_can``. A lobe is merged mechanically with
everything it needs into one module, and so is the data preparation. A system is the complete
YAML file. ``contribution/`` contains the files that differ upstream, such as ``train.py``.
Exporting twice has the same result.

There are three pull requests, each based on the previous one: ``can`` (CAN and its
ablations), ``systems`` (the systems it is compared with) and ``encoders`` (pretrained
encoders).
"""

import csv
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Tuple

import click
from packaging.version import Version
from upstream.merge import RECIPE, ROOT, merge

from speechbrain_can.report.paper import PAPER

CONTRIBUTION = Path(__file__).parent / "contribution"
OLDEST = "1.1.0"  # has the InputNormalization that the recipe uses


class Part(NamedTuple):
    """A pull request.

    Arguments
    ---------
    modules : tuple of str
        Modules that it adds to the library.
    systems : tuple of str
        hparams files that it adds, under the names of ours.
    """

    modules: Tuple[str, ...]
    systems: Tuple[str, ...]


PARTS = {
    "can": Part(
        ("speechbrain.lobes.models.CAN",),
        ("can", "equal_segmentation", "no_cross_attention"),
    ),
    "systems": Part(
        ("speechbrain.lobes.models.CAN_baselines",),
        (
            "text_model",
            "audio_model",
            "multi_hop",
            "learned_alignment",
            "no_stop_gradient",
            "no_align_loss",
            "no_stop_gradient_no_align_loss",
        ),
    ),
    "encoders": Part(
        ("speechbrain.integrations.huggingface.word_encoders",),
        ("can_wav2vec2_glove", "can_hubert_bert", "can_wavlm_roberta"),
    ),
}
DATASET_README = RECIPE.parent / "README.md"
# Folders of files with the differences of a system from can.yaml
CHANGES = (ROOT / RECIPE / "hparams", CONTRIBUTION / "encoders" / "changes")


class ExportError(Exception):
    """Raised for checkouts that cannot be written to; the message says what to do."""


def export(checkout, part="can"):
    """Write a pull request to a checkout; return the relative paths."""
    checkout = Path(checkout)
    check_version(checkout)
    elsewhere = {}
    for earlier in list(PARTS)[: list(PARTS).index(part)]:
        for module in PARTS[earlier].modules:
            if not (checkout / module_path(module)).exists():
                raise ExportError(
                    f"{checkout / module_path(module)} is not there: part "
                    f"{part!r} comes after {earlier!r}. Export and commit that "
                    "first"
                )
            merge_module(earlier, module, elsewhere)
    texts = {
        module_path(module): merge_module(part, module, elsewhere)
        for module in PARTS[part].modules
    }
    for path in sorted((CONTRIBUTION / part).rglob("*")):
        relative = path.relative_to(CONTRIBUTION / part)
        if path.is_dir() or relative in texts or path.parent in CHANGES:
            continue
        if path.suffix == ".py":
            texts[relative], _ = merge(path, elsewhere, brief=True)
        elif path.suffix == ".csv":
            texts[relative] = with_rows(checkout / relative, path)
        else:
            texts[relative] = path.read_text(encoding="utf-8")
    for system in PARTS[part].systems:
        path = RECIPE / "hparams" / f"{system}.yaml"
        texts[path] = rename(complete(system), elsewhere)
    systems = [
        system
        for name, each in PARTS.items()
        for system in each.systems
        if name == part
        or (checkout / RECIPE / "hparams" / f"{system}.yaml").exists()
    ]
    texts[RECIPE / "README.md"] = readme(systems)
    if (checkout / DATASET_README).exists():
        texts[DATASET_README] = with_link(checkout / DATASET_README)
    for path, text in texts.items():
        if path.suffix == ".py":
            texts[path] = tidy(checkout, path, text)
    check_clean(checkout, texts)
    for path, text in texts.items():
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_text(text, encoding="utf-8")
        if text.startswith("#!/bin/sh"):
            (checkout / path).chmod(0o755)
    return sorted(texts)


def merge_module(part, module, elsewhere):
    """Return the text of a library module, which later ones may import from."""
    text, origins = merge(CONTRIBUTION / part / module_path(module), elsewhere)
    elsewhere.update(dict.fromkeys(origins, module))
    return text


def module_path(module):
    """Return the path of a module in a checkout."""
    return Path(module.replace(".", "/") + ".py")


def check_version(checkout):
    """Refuse folders that are not a checkout, and old checkouts."""
    version = checkout / "speechbrain" / "version.txt"
    if not version.exists():
        raise ExportError(f"{checkout} is no checkout of SpeechBrain")
    found = version.read_text().strip()
    if Version(found) < Version(OLDEST):
        raise ExportError(
            f"{checkout} is SpeechBrain {found}; the recipe needs {OLDEST} or "
            "newer: check out its development branch"
        )


def check_clean(checkout, texts):
    """Refuse checkouts with uncommitted changes to our paths."""
    if not (checkout / ".git").exists():
        return
    status = git(checkout, "status", "--porcelain", "--untracked-files=all")
    changed = [Path(line[3:]) for line in status.splitlines()]
    foreign = [
        str(path)
        for path in changed
        if path not in texts
        or not (checkout / path).exists()
        or (checkout / path).read_text(encoding="utf-8") != texts[path]
    ]
    if foreign:
        raise ExportError(
            f"{checkout} has changes of its own: {', '.join(foreign[:5])}. "
            "Commit or stash them first"
        )


def git(checkout, *arguments):
    """Return the output of a git command."""
    return subprocess.run(
        ["git", "-C", str(checkout), *arguments],
        check=True,
        capture_output=True,
        encoding="utf-8",
    ).stdout


def with_rows(table, additions):
    """Return the text of a recipe table with our rows."""
    ours = list(csv.DictReader(additions.read_text().splitlines()))
    lines = [",".join(ours[0])]
    if table.exists():
        lines = table.read_text(encoding="utf-8").splitlines()
    files = [row["Hparam_file"] for row in csv.DictReader(lines)]
    for row in ours:
        text = io.StringIO()
        columns = next(csv.reader(lines[:1]))
        csv.DictWriter(text, columns, lineterminator="").writerow(row)
        if row["Hparam_file"] in files:
            lines[1 + files.index(row["Hparam_file"])] = text.getvalue()
        else:
            lines.append(text.getvalue())
    return "\n".join(lines) + "\n"


def with_link(page):
    """Return the README of the dataset with a link to our recipe."""
    line = f"For audio and text see [{RECIPE.name}]({RECIPE.name}/README.md).\n"
    lines = page.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(lines if line in lines else [*lines[:2], line, *lines[2:]])


def changes_of(system):
    """Return how a system differs from ``can.yaml``, by top-level key."""
    (path,) = (
        folder / f"{system}.yaml"
        for folder in CHANGES
        if (folder / f"{system}.yaml").exists()
    )
    return blocks(path.read_text(encoding="utf-8"))


def complete(system):
    """Return the complete YAML of a system."""
    text = (CONTRIBUTION / "can" / RECIPE / "hparams/can.yaml").read_text()
    if system == "can":
        return text
    changes = changes_of(system)
    del changes["base"]
    changes.pop("output_folder", None)
    changes["experiment"] = f"experiment: {system}\n"
    merged = blocks(text)
    referred = referred_keys(text)
    for key, change in changes.items():
        if key in merged:
            above = merged[key].partition(f"{key}:")[0]
            merged[key] = above + "\n".join(without_comments(change)) + "\n"
        else:
            merged = inserted(merged, key, change.strip() + "\n")
    train = (CONTRIBUTION / "can" / RECIPE / "train.py").read_text()
    read = set(re.findall(r'hparams\["(\w+)"\]', train))
    while unused := (referred - referred_keys("".join(merged.values()))) & (
        set(merged) - read
    ):
        for key in unused:
            del merged[key]
    whole = "".join(merged.values())
    head, rest = whole.split("\n#\n", 1)
    return f"{head}\n# {title_of(system)}\n#\n{rest}"


def title_of(system):
    """Return the first line of a system's file."""
    return changes_of(system)["base"].splitlines()[0].lstrip("# ")


def as_flags(system):
    """Return a system as command-line overrides of ``can.yaml``; empty if that is impossible."""
    changes = changes_of(system)
    changes.pop("output_folder", None)
    values = [without_comments(change)[0] for change in changes.values()]
    if "base: can.yaml" not in values or any("!" in v for v in values):
        return ""
    flags = [
        "--" + value.partition(" #")[0].replace(": ", "=")
        for value in values
        if value[:4] != "base"
    ]
    return " ".join([*flags, f"--experiment={system}"])


def blocks(text):
    """Return the text of each top-level key, including comments above it."""
    found, lines = {}, []
    for line in text.splitlines(keepends=True):
        key = re.match(r"(\w+):", line)
        if key:
            # lines before the comments of a key belong to the previous key
            start = len(lines)
            while start and lines[start - 1].startswith(("#", "\n")):
                start -= 1
            if found:
                last = list(found)[-1]
                found[last] += "".join(lines[:start])
                lines = lines[start:]
            found[key[1]] = "".join([*lines, line])
            lines = []
        else:
            lines.append(line)
    found[list(found)[-1]] += "".join(lines)
    return found


def inserted(mapping, key, value, before="embedding"):
    """Return the mapping with another key, before the modules of the model."""
    keys = list(mapping)
    place = keys.index(before)
    return {
        **{name: mapping[name] for name in keys[:place]},
        key: value,
        **{name: mapping[name] for name in keys[place:]},
    }


def without_comments(text):
    """Return the lines of a block that are neither comments nor empty."""
    return [
        line
        for line in text.splitlines()
        if line.strip() and not line.startswith("#")
    ]


def referred_keys(text):
    """Return the top-level keys that a ``!ref`` names."""
    return {
        key
        for line in text.splitlines()
        for key in re.findall(r"<(\w+)", line.partition("!ref")[2])
    }


def rename(text, elsewhere):
    """Replace our names by those in SpeechBrain."""
    modules = {".".join(ours): module for ours, module in elsewhere.items()}
    return re.sub(
        r"speechbrain_can(?:\.\w+)+",
        lambda match: f"{modules[match[0]]}.{match[0].rpartition('.')[2]}",
        text,
    )


def readme(systems):
    """Return the README of the recipe: one row per system with the paper's scores."""
    files = {system: f"{system}.yaml" for system in systems}
    for system in sorted(set().union(*(p.systems for p in PARTS.values()))):
        flags = as_flags(system)
        if system not in files and flags:
            files[system] = f"can.yaml {flags}"
    rows = {
        system: published
        for table in PAPER.values()
        for system, published in table.items()
    }
    rows["can"] = PAPER["Table 2: models"]["can"]
    lines = [
        "| {} | {} | {:.3f} ± {:.3f} | {:.3f} ± {:.3f} |".format(
            file, rows[system].name, *rows[system].WA, *rows[system].UA
        )
        if system in rows
        else f"| {file} | {title_of(system)} | | |"
        for system, file in files.items()
    ]
    text = (CONTRIBUTION / "README.md").read_text(encoding="utf-8")
    return text.replace("{systems}", "\n".join(lines))


def tidy(checkout, path, text):
    """Format Python and sort imports by the rules of the checkout."""
    fixes = "--select=I,F401,UP006,UP007,UP035,UP045"
    for command in (
        ["check", "--fix-only", "--unsafe-fixes", fixes],
        ["format"],
    ):
        text = subprocess.run(
            [
                *(sys.executable, "-m", "ruff", *command, "--quiet"),
                *("--stdin-filename", str(path), "-"),
            ],
            cwd=checkout,
            input=text,
            check=True,
            capture_output=True,
            encoding="utf-8",
        ).stdout
    return text


@click.command(help=__doc__)
@click.argument("checkout")
@click.option(
    "--part",
    type=click.Choice(list(PARTS)),
    default="can",
    show_default=True,
    help="The pull request to write.",
)
def main(checkout, part):
    try:
        for path in export(checkout, part):
            print(path)
    except ExportError as error:
        raise click.ClickException(str(error))


if __name__ == "__main__":
    main()
