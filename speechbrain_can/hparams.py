"""The hparams file: read with its base, overridden, bound to its folder.

Authors
 * The speechbrain-can developers 2026
"""

import difflib
import io
from pathlib import Path

import ruamel.yaml
from hyperpyyaml import load_hyperpyyaml, resolve_references

from speechbrain_can.files import atomic_write

ALL_FOLDS = "all"


BASE = "base"


SETTINGS = "hyperparams.yaml"


class SettingsError(ValueError):
    """Settings that do not fit together, or not what a folder was made with."""


def load_hparams(hparams_file, overrides, fold=None):
    """Reads an hparams file for one fold.

    Arguments
    ---------
    hparams_file : str or Path
        HyperPyYAML.
    overrides : str or dict
        As ``sb.parse_arguments`` gives them.
    fold : int or None
        The fold; None for what file and overrides say, or 0 where they say
        ``all``: good enough to prepare the corpus with.

    Returns
    -------
    dict
        The hyper-parameters, every object built.
    """
    if fold is None:
        fold = requested_fold(hparams_file, overrides)
        fold = 0 if fold == ALL_FOLDS else fold
    return load_hyperpyyaml(
        read_hparams(hparams_file), override_fold(overrides, fold)
    )


def read_hparams(hparams_file):
    """Reads an hparams file together with the file that it is based on.

    A file with the key ``base``, a path from its own folder, says only how it
    differs from that file: a key of its own replaces the same key of the base,
    as a value on the command line would.

    Arguments
    ---------
    hparams_file : str or Path
        HyperPyYAML.

    Returns
    -------
    io.StringIO
        HyperPyYAML, complete.

    Raises
    ------
    SettingsError
        If the file is its own base.
    """
    parser = ruamel.yaml.YAML()
    hparams_file = Path(hparams_file)
    hparams = parser.load(hparams_file)
    text = io.StringIO()
    if BASE in hparams:
        base = hparams_file.parent / hparams.pop(BASE)
        if base.resolve() == hparams_file.resolve():
            raise SettingsError(f"{hparams_file} is its own base")
        merged = parser.load(read_hparams(base))
        merged.update(hparams)
        hparams = merged
    parser.dump(hparams, text)
    text.seek(0)
    return text


def requested_fold(hparams_file, overrides):
    """The fold that file and overrides ask for.

    Arguments
    ---------
    hparams_file : str or Path
        HyperPyYAML.
    overrides : str or dict
        As ``sb.parse_arguments`` gives them.

    Returns
    -------
    int or str
        A number, or ``all``.

    Raises
    ------
    SettingsError
        If it is something else.
    """
    resolved = resolve_references(read_hparams(hparams_file), overrides)
    requested = ruamel.yaml.YAML().load(resolved)["fold"]
    if requested != ALL_FOLDS and not isinstance(requested, int):
        raise SettingsError(
            f"fold is {requested!r}; give the number of a fold or '{ALL_FOLDS}'"
        )
    return requested


def override_fold(overrides, fold):
    """Adds the choice of one fold to overrides.

    Arguments
    ---------
    overrides : str or dict
        As ``sb.parse_arguments`` gives them.
    fold : int or str
        The fold.

    Returns
    -------
    dict
        The overrides.

    Example
    -------
    >>> dict(override_fold("lr: 0.1", 3))
    {'lr': 0.1, 'fold': 3}
    """
    if isinstance(overrides, str):
        overrides = ruamel.yaml.YAML().load(overrides) or {}
    return {**overrides, "fold": fold}


def check_settings(output_folder, hparams_file, overrides):
    """Binds an output folder to its settings: all but the choice of the fold.

    Arguments
    ---------
    output_folder : str or Path
        The run; ``hyperparams.yaml`` is written there until a fold is begun.
    hparams_file : str or Path
        HyperPyYAML.
    overrides : str or dict
        As ``sb.parse_arguments`` gives them.

    Raises
    ------
    SettingsError
        If the folder was begun with other settings.
    """
    resolved = resolve_hparams(hparams_file, overrides, ALL_FOLDS)
    path = Path(output_folder) / SETTINGS
    begun = path.exists() and any(path.parent.glob("fold_*"))
    if not begun:
        write_settings(path, resolved)
        return
    before = _without_comments(path.read_text(encoding="utf-8"))
    changes = [
        line
        for line in difflib.ndiff(before, _without_comments(resolved))
        if line.startswith(("-", "+"))
    ]
    if changes:
        raise SettingsError(
            f"{output_folder} was begun with other settings:\n"
            + "\n".join(changes)
            + "\nGive another --output_folder, or delete this one."
        )


def resolve_hparams(hparams_file, overrides, fold):
    """The text of an hparams file in which nothing refers to another value."""
    return resolve_references(
        read_hparams(hparams_file), override_fold(overrides, fold)
    ).read()


def write_settings(path, resolved):
    with atomic_write(path) as stream:
        stream.write("# yamllint disable\n" + resolved)


def _without_comments(text):
    lines = (line.split(" #")[0].rstrip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
