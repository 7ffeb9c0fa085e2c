"""The hparams file: read with its base and overrides, bound to its folder.

Authors
 * The speechbrain-can developers 2026
"""

import difflib
import io
import re
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import ruamel.yaml
from hyperpyyaml import load_hyperpyyaml, resolve_references
from hyperpyyaml.core import recursive_update

from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.corpus.protocols import ALIASES
from speechbrain_can.files import InputError, atomic_write

ALL_FOLDS, NO_FOLD = "all", "none"
BASE = "base"
SETTINGS = "hyperparams.yaml"
# What code reads of a file by name, beside SpeechBrain's run options.
READ = set(
    "__set_seed aligner augment_frames augment_waveform batch_size checkpointer "
    "chosen_on_folds "
    "classes compute_features draw_attention epoch_counter feature_workers "
    "features_folder fine_tuned fine_tuned_opt_class fold fold_folder loss "
    "lr_annealing modules normalize_by num_workers opt_class output_folder "
    "preparation prepared_folder sample_rate sampler seed segment soft_labels "
    "stop_on strict tensorboard_logs train_logger transcriber use_tensorboard".split()
)


class SettingsError(InputError):
    """Settings that do not fit together, or not what a folder was made with."""


@dataclass(frozen=True)
class Settings:
    """An hparams file, complete: with its base and what overrides it.

    Arguments
    ---------
    name : str
        The file's, without its ending: what results call the system.
    text : str
        Plain HyperPyYAML.
    """

    name: str
    text: str

    def of_fold(self, fold):
        """The same settings for another ``fold``."""
        return self.replaced({"fold": fold})

    def build(self):
        """Every object of a fold; of fold 0 where none is named."""
        hparams = _load(self.text)
        # a function of the recipe, which may not be at hand
        hparams.pop("preparation", None)
        if self.fold in (ALL_FOLDS, NO_FOLD):
            hparams["fold"] = 0
        return load_hyperpyyaml(_dump(hparams))

    def has(self, key):
        """Whether there is such a key."""
        return key in _keys(self.text)

    def replaced(self, values):
        """The same settings with other values of keys that they have."""
        hparams = _load(self.text)
        hparams.update({k: v for k, v in values.items() if k in hparams})
        return Settings(self.name, _dump(hparams))

    def part(self, keys):
        """Some keys and all that they refer to: plain HyperPyYAML."""
        hparams = _load(self.text)
        wanted, found = set(keys), set()
        while wanted:
            found |= wanted
            wanted = _referred({k: hparams[k] for k in wanted}) - found
        return _dump({k: v for k, v in hparams.items() if k in found})

    def resolved(self):
        """The text in which nothing refers to another value.

        Raises
        ------
        SettingsError
            If something refers to what is not there.
        """
        try:
            return resolve_references(self.text).read()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SettingsError(
                f"{self.name}.yaml cannot be resolved: {error}"
            ) from error

    def plain(self):
        """Values without references; no object is built."""
        return _load(self.resolved())

    def texts(self, key):
        """The values under a key, each as YAML has it, a level deeper too."""
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
    def fold(self):
        """The fold that is asked for: a number, ``all`` or ``none``."""
        fold = _load(self.text)["fold"]
        number = isinstance(fold, int) and not isinstance(fold, bool)
        if fold not in (ALL_FOLDS, NO_FOLD) and not (number and fold >= 0):
            raise SettingsError(
                f"fold is {fold!r}; give the number of a fold, '{ALL_FOLDS}' or "
                f"'{NO_FOLD}' (to prepare the corpus only)"
            )
        return fold

    def asked_folds(self, n_folds):
        """Numbers of the folds that are asked for, of ``n_folds``.

        Those whose test set the settings were chosen on, ``chosen_on_folds`` as
        a search writes it, are left out of all folds, and refused by themselves.
        """
        chosen_on = _load(self.text).get("chosen_on_folds") or []
        if self.fold == ALL_FOLDS:
            return [fold for fold in range(n_folds) if fold not in chosen_on]
        if self.fold in chosen_on:
            raise SettingsError(
                f"fold {self.fold} tests what these settings were chosen on "
                f"(chosen_on_folds: {list(chosen_on)}); give another --fold"
            )
        return [self.fold]


def read_settings(hparams_file, overrides=""):
    """Reads an hparams file with the file that it is based on.

    A file with the key ``base``, a path from its own folder, says only how it
    differs from that file, which may have a base in turn: a key of its own
    replaces the same key of the base, as a value on the command line would.

    Arguments
    ---------
    hparams_file : str or Path
        HyperPyYAML.
    overrides : str or dict
        As ``sb.parse_arguments`` gives them.

    Returns
    -------
    Settings
        The settings.

    Raises
    ------
    SettingsError
        If a file is its own base, or a key is known to nobody.
    """
    path = Path(hparams_file)
    hparams = _read(path)
    if path.name != SETTINGS:  # which is made of files that were checked
        hparams = _complete(path, hparams)
    if isinstance(overrides, str):
        overrides = _load(overrides) or {}
    _check_keys("the command line", overrides, {*hparams, *READ})
    recursive_update(hparams, overrides)
    if hparams.get("protocol") in ALIASES:
        hparams["protocol"] = ALIASES[hparams["protocol"]]
    return Settings(path.stem, _dump(hparams))


def _complete(path, hparams):
    """The hparams of a file on those of its base, every key known."""
    known = READ | _referred(hparams) | _named_by_code(path)
    merged = {}
    if BASE in hparams:
        merged = _with_bases(path.parent / hparams.pop(BASE), {path.resolve()})
    _check_keys(path, hparams, known | set(merged))
    if not merged:
        return hparams
    merged.update(hparams)
    return merged


def _with_bases(path, above):
    """The hparams of a file on those of its base."""
    if path.resolve() in above:
        raise SettingsError(f"{path} is its own base, directly or by others")
    hparams = _read(path)
    if BASE not in hparams:
        return hparams
    base = path.parent / hparams.pop(BASE)
    merged = _with_bases(base, above | {path.resolve()})
    merged.update(hparams)
    return merged


def _referred(hparams):
    """Keys that ``!ref`` names."""
    lines = (line.split(" #")[0] for line in _dump(hparams).splitlines())
    scalars = (line.partition("!ref")[2] for line in lines)
    return {key for text in scalars for key in re.findall(r"<(\w+)", text)}


def _named_by_code(path):
    """Keys that the recipe of a file names in quotes."""
    folder = next(
        (f for f in path.absolute().parents if (f / "train.py").exists()), None
    )
    code = "".join(
        file.read_text(encoding="utf-8")
        for file in (folder.glob("*.py") if folder else ())
    )
    return set(re.findall(r"[\"'](\w+)[\"']", code))


def _check_keys(place, keys, known):
    """A key that nothing reads is a slip of the pen."""
    known = known | {field.name for field in fields(RunOptions)}
    for key in keys:
        if key not in known:
            close = difflib.get_close_matches(key, sorted(known), n=1)
            hint = (
                f"did you mean {close[0]}?" if close else "it would do nothing"
            )
            raise SettingsError(f"{place}: nothing reads the key {key}; {hint}")


@lru_cache(maxsize=32)
def _keys(text):
    """The top-level keys, which are asked for one by one."""
    return frozenset(_load(text))


def _read(path):
    """The hparams of a file as they are written."""
    try:
        hparams = _load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8: {error}") from error
    except ruamel.yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise SettingsError(
            f"{path}{line}: no HyperPyYAML: {problem}"
        ) from error
    if not isinstance(hparams, dict):
        raise SettingsError(f"{path} is no hparams file: it has no keys")
    return hparams


def _load(text):
    return ruamel.yaml.YAML().load(text)


def _dump(hparams):
    text = io.StringIO()
    parser = ruamel.yaml.YAML()
    parser.width = 4096  # a long value stays on its line
    parser.dump(hparams, text)
    return text.getvalue()


def check_folder(folder, settings):
    """Refuses a folder that was begun with other settings than these.

    The choice of the fold does not count, nor do comments; nor does anything
    until the training of a fold is begun.

    Arguments
    ---------
    folder : str or Path
        The output folder.
    settings : Settings
        The settings.

    Raises
    ------
    SettingsError
        With the lines that differ.
    """
    path = Path(folder) / SETTINGS
    if not (path.exists() and any(path.parent.glob(f"fold_*/{SETTINGS}"))):
        return
    now = _without_comments(settings.of_fold(ALL_FOLDS).resolved())
    try:
        before = _without_comments(
            read_settings(path).of_fold(ALL_FOLDS).resolved()
        )
    except SettingsError as error:
        raise SettingsError(
            f"{folder} was begun with settings that cannot be read ({error}); "
            "give another --output_folder, or delete this one"
        ) from error
    changes = [
        line
        for line in difflib.ndiff(before, now)
        if line.startswith(("-", "+"))
    ]
    if changes:
        raise SettingsError(
            f"{folder} was begun with other settings:\n"
            + "\n".join(changes)
            + "\nGive another --output_folder, or delete this one."
        )


def write_settings(folder, settings):
    """Writes the settings of a run or a fold: ``hyperparams.yaml``."""
    with atomic_write(Path(folder) / SETTINGS) as stream:
        stream.write("# yamllint disable\n" + settings.text)


def _without_comments(text):
    lines = (line.split(" #")[0].rstrip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
