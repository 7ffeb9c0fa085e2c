"""hparams files: bases, overrides, and the settings an output folder is bound to."""

import difflib
import io
import re
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Iterable

import ruamel.yaml
from hyperpyyaml import load_hyperpyyaml, resolve_references
from hyperpyyaml.core import recursive_update

from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.io.files import InputError, atomic_write

ALL_FOLDS, NO_FOLD = "all", "none"
BASE = "base"
SETTINGS = "hyperparams.yaml"

# Keys that code reads by name, in addition to SpeechBrain's run options
READ = set(
    "__set_seed aligner augment_frames augment_waveform augmented_copies batch_size checkpointer "
    "chosen_on_folds "
    "classes compute_features conditioning dimension_loss dimension_range dimensions draw_attention epoch_counter feature_workers "
    "features_folder fine_tuned fine_tuned_opt_class fold fold_folder loss "
    "loggers lr_annealing modules normalize_by num_workers opt_class output_folder "
    "preparation prepared_folder sample_rate sampler seed segment soft_labels "
    "stop_on strict tensorboard_logs train_logger transcriber use_tensorboard".split()
)


class SettingsError(InputError):
    """Raised for settings that are invalid or differ from those of the output folder."""


@dataclass(frozen=True)
class Settings:
    """A complete hparams file, including its base and overrides.

    Arguments
    ---------
    name : str
        File name without extension; results use it as the name of the system.
    text : str
        Plain HyperPyYAML.
    """

    name: str
    text: str

    def of_fold(self, fold: int | str) -> "Settings":
        """Return the same settings with another ``fold``."""
        return self.replaced({"fold": fold})

    def build(self) -> dict[str, Any]:
        """Build all objects of a fold; fold 0 unless a single one is selected."""
        hparams = _load(self.text)
        # a function of the recipe, which may not be importable
        hparams.pop("preparation", None)
        if not isinstance(self.fold, int):
            hparams["fold"] = 0
        return load_hyperpyyaml(_dump(hparams))

    def has(self, key: str) -> bool:
        """Return whether the settings define a key."""
        return key in _keys(self.text)

    def replaced(self, values: dict[str, Any]) -> "Settings":
        """Return settings with new values for those keys that exist."""
        hparams = _load(self.text)
        hparams.update({k: v for k, v in values.items() if k in hparams})
        return Settings(self.name, _dump(hparams))

    def part(self, keys: Iterable[str]) -> str:
        """Return some keys and everything they refer to, as plain HyperPyYAML."""
        hparams = _load(self.text)
        wanted, found = set(keys), set()
        while wanted:
            found |= wanted
            wanted = _referred({k: hparams[k] for k in wanted}) - found
        return _dump({k: v for k, v in hparams.items() if k in found})

    def resolved(self) -> str:
        """Return the text with all references replaced by their values.

        Raises
        ------
        SettingsError
            If a reference cannot be resolved.
        """
        try:
            return resolve_references(self.text).read()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            missing = re.search(r"'(\w+)' is a !PLACEHOLDER", str(error))
            if missing:
                raise SettingsError(
                    f"{self.name}.yaml: {missing[1]} is not set. Pass "
                    f"--{missing[1]}=VALUE."
                ) from error
            raise SettingsError(
                f"{self.name}.yaml: cannot resolve references: {error}"
            ) from error

    def plain(self) -> dict[str, Any]:
        """Return the values without references, without building any object."""
        return _load(self.resolved())

    def text_of(self, key: str) -> str:
        """Return a key as YAML text without references and comments."""
        return "\n".join(without_comments(_dump({key: self.plain()[key]})))

    def texts(self, key: str) -> dict[str, str]:
        """Return the values under a key as YAML text, including one nested level."""
        texts = {}
        for name, value in self.plain()[key].items():
            nested = isinstance(value, dict) and value.tag.value is None
            inner = value if nested else {name: value}
            texts.update(
                {
                    k: _dump({k: v}).partition(":")[2].strip()
                    for k, v in inner.items()
                }
            )
        return texts

    @property
    def fold(self) -> int | str | list[int]:
        """The selected folds: a number, a list of numbers, ``all`` or ``none``."""
        fold = _load(self.text)["fold"]
        if fold in (ALL_FOLDS, NO_FOLD):
            return fold
        if isinstance(fold, str) and re.fullmatch(r"\d+(, *\d+)*", fold):
            fold = [int(number) for number in fold.split(",")]
        numbers = fold if isinstance(fold, list) and fold else [fold]
        valid = all(
            isinstance(number, int)
            and not isinstance(number, bool)
            and number >= 0
            for number in numbers
        )
        if not valid or len(set(numbers)) < len(numbers):
            raise SettingsError(
                f"invalid fold {fold!r}. Pass the number of a fold, several such as "
                f"0,2, '{ALL_FOLDS}', or '{NO_FOLD}' to only prepare the corpus."
            )
        return list(numbers) if isinstance(fold, list) else fold

    def asked_folds(self, n_folds: int) -> list[int]:
        """Return the numbers of the selected folds.

        ``chosen_on_folds``, written by a search, lists folds whose test sets
        influenced the settings. ``all`` excludes them; selecting one raises
        ``SettingsError``.
        """
        chosen_on = _load(self.text).get("chosen_on_folds") or []
        if self.fold == ALL_FOLDS:
            return [fold for fold in range(n_folds) if fold not in chosen_on]
        asked = self.fold if isinstance(self.fold, list) else [self.fold]
        for fold in asked:
            if fold in chosen_on:
                raise SettingsError(
                    f"fold {fold} cannot be reported: its test set was used to "
                    f"choose these settings (chosen_on_folds: {list(chosen_on)}). "
                    "Pass another --fold."
                )
        return asked


def read_settings(
    hparams_file: str | Path, overrides: str | dict = ""
) -> Settings:
    """Read an hparams file and the files it is based on.

    A file with the key ``base``, a path relative to its folder or a list of them,
    contains only the keys that differ from its bases. Later bases replace the keys of
    earlier ones, and bases may have bases. ``overrides`` are those of
    ``sb.parse_arguments``. Raises ``SettingsError`` if a file is its own base, or if
    nothing reads a key.
    """
    path = Path(hparams_file)
    hparams = _read(path)
    if path.name != SETTINGS:  # written from files that were checked
        hparams = _complete(path, hparams)
    if isinstance(overrides, str):
        try:
            overrides = _load(overrides) or {}
        except ruamel.yaml.YAMLError as error:
            raise SettingsError(
                f"the command line is not valid YAML: {' '.join(str(error).split())}"
            ) from error
    _check_keys("the command line", overrides, {*hparams, *READ})
    for key, value in overrides.items():
        # recursive_update refuses mappings in place of other values.
        if isinstance(value, dict) and not isinstance(hparams.get(key), dict):
            hparams[key] = value
    recursive_update(hparams, overrides)
    return Settings(path.stem, _dump(hparams))


def _complete(path: Path, hparams: dict) -> dict:
    """Merge the hparams of a file with its base and check its keys."""
    known = READ | _referred(hparams) | _named_by_code(path)
    merged = _merged_bases(path, hparams, {path.resolve()})
    _check_keys(path, hparams, known | set(merged))
    if not merged:
        return hparams
    merged.update(hparams)
    return merged


def _merged_bases(path: Path, hparams: dict, above: set[Path]) -> dict:
    """Remove the bases from the hparams of a file and return them, merged."""
    bases = hparams.pop(BASE, None) or []
    merged = {}
    for name in [bases] if isinstance(bases, str) else bases:
        base = path.parent / name
        if base.resolve() in above:
            raise SettingsError(
                f"{base} is its own base, directly or through other files"
            )
        own = _read(base)
        # keeps the order of keys of the first base
        found = _merged_bases(base, own, above | {base.resolve()}) or own
        found.update(own)
        if merged:
            merged.update(found)
        else:
            merged = found
    return merged


def _referred(hparams: dict) -> set[str]:
    """Return the keys that ``!ref`` tags name."""
    lines = (line.split(" #")[0] for line in _dump(hparams).splitlines())
    scalars = (line.partition("!ref")[2] for line in lines)
    return {key for text in scalars for key in re.findall(r"<(\w+)", text)}


def _named_by_code(path: Path) -> set[str]:
    """Return the names that the recipe's Python files contain in quotes."""
    folder = next(
        (f for f in path.absolute().parents if (f / "train.py").exists()), None
    )
    code = "".join(
        file.read_text(encoding="utf-8")
        for file in (folder.glob("*.py") if folder else ())
    )
    return set(re.findall(r"[\"'](\w+)[\"']", code))


def _check_keys(
    place: str | Path, keys: Iterable[str], known: set[str]
) -> None:
    """Refuse keys that nothing reads, which are most likely misspelled."""
    known = known | {field.name for field in fields(RunOptions)}
    for key in keys:
        if key not in known:
            close = difflib.get_close_matches(key, sorted(known), n=1)
            hint = (
                f"Did you mean {close[0]}?"
                if close
                else "It would have no effect; remove it."
            )
            raise SettingsError(f"{place}: unknown key {key}. {hint}")


@lru_cache(maxsize=32)
def _keys(text: str) -> frozenset[str]:
    """Return the top-level keys of a YAML text."""
    return frozenset(_load(text))


def _read(path: Path) -> dict:
    """Read the hparams of one file, without its base."""
    if not path.is_file():
        raise SettingsError(f"{path} does not exist. {_existing(path)}")
    try:
        hparams = _load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8: {error}") from error
    except ruamel.yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise SettingsError(
            f"{path}{line}: invalid HyperPyYAML: {problem}"
        ) from error
    if not isinstance(hparams, dict):
        raise SettingsError(f"{path} is not an hparams file: it has no keys")
    return hparams


def _existing(path: Path) -> str:
    """Return a sentence about the hparams files near a missing one."""
    folder = next((p for p in path.parents if p.is_dir()), Path())
    found = sorted(
        file.relative_to(folder).as_posix()
        for pattern in ("*.yaml", "hparams/**/*.yaml", "encoders/*.yaml")
        for file in folder.glob(pattern)
    )
    if not found:
        return f"{folder} contains no YAML file."
    close = difflib.get_close_matches(path.name, found, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"{folder} contains {', '.join(found)}.{hint}"


def _load(text):
    return ruamel.yaml.YAML().load(text)


def _dump(hparams):
    text = io.StringIO()
    parser = ruamel.yaml.YAML()
    parser.width = 4096  # a long value stays on its line
    parser.dump(hparams, text)
    return text.getvalue()


def write_settings(folder: str | Path, settings: Settings) -> None:
    """Write ``hyperparams.yaml`` of a run or a fold."""
    with atomic_write(Path(folder) / SETTINGS) as stream:
        stream.write("# yamllint disable\n" + settings.text)


def without_comments(text: str) -> list[str]:
    """Return the lines of a YAML text that are neither empty nor comments."""
    lines = (line.split(" #")[0].rstrip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
