"""Hyper-parameter search on validation sets with Ray Tune and Optuna.

The score of a trial is the mean validation metric over folds. The validation set of one
fold is usually part of the test set of another one. ``best.yaml`` therefore lists the
folds that must not be reported with the best configuration.
"""

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Sequence

import numpy as np
import pandas as pd
import ruamel.yaml
import torch
from filelock import FileLock

import speechbrain as sb
from speechbrain_can.corpus.fold_lists import (
    count_folds,
    read_folds,
    split_fold,
)
from speechbrain_can.corpus.prepared import folds_path
from speechbrain_can.experiments.compare import Run, plan_run
from speechbrain_can.experiments.ray import (
    RETRIES,
    RayOptions,
    connected,
    of_fold,
    prepare_on,
    printing_to,
    run_in_process,
)
from speechbrain_can.io.console import show
from speechbrain_can.io.files import (
    InputError,
    atomic_write,
    read_json,
    write_json,
)
from speechbrain_can.io.integrity import fingerprint
from speechbrain_can.metrics.metrics import METRICS
from speechbrain_can.runs.layout import RunLayout
from speechbrain_can.settings.hparams import SettingsError, read_settings

# Distributions of Ray Tune that a search space may use
DISTRIBUTIONS = ("choice", "uniform", "loguniform", "randint")

# Choices of the paper, and values that it does not specify
DEFAULT_SPACE = """\
align_weight: {loguniform: [0.01, 1.0]}
heads: {choice: [1, 2, 4, 8]}
lr: {loguniform: [0.0003, 0.003]}
"""
# Each overlap needs other features, which are cheap unless an encoder computes them
FEATURE_SPACE = """\
overlap: {uniform: [0.0, 0.5]}
"""

BEST, TRIALS, SEARCH, VALUES = (
    "best.yaml",
    "trials.csv",
    "search.json",
    "values.json",
)


def read_space(
    path: str | Path | None, hparams_file: str | Path
) -> dict[str, tuple[str, list]]:
    """Read a search space: distribution and arguments by key.

    The YAML file has one line per key, such as ``lr: {loguniform: [0.0003, 0.003]}``;
    None selects ``DEFAULT_SPACE``, and ``FEATURE_SPACE`` for models without a
    pretrained encoder. Raises ``InputError`` if a line is invalid or a
    key is unknown.
    """
    if path is None:
        text = DEFAULT_SPACE
        if not read_settings(hparams_file).has("front_end"):
            text += FEATURE_SPACE
    else:
        text = Path(path).read_text("utf-8")
    place = path or "the default space"
    lines = ruamel.yaml.YAML(typ="safe").load(text)
    if not lines or not isinstance(lines, dict):
        raise InputError(f"{place}: the search space is empty")
    space = {}
    for key, line in lines.items():
        if not isinstance(line, dict) or len(line) != 1:
            raise InputError(
                f"{place}: invalid line. Write it as {key}: {{uniform: [0, 1]}}."
            )
        ((kind, arguments),) = line.items()
        if kind not in DISTRIBUTIONS:
            raise InputError(
                f"{place}: {key} has the unknown distribution {kind}. Choose one "
                f"of {', '.join(DISTRIBUTIONS)}."
            )
        ends = isinstance(arguments, list) and arguments
        if not ends or (kind != "choice" and not _are_ends(arguments)):
            raise InputError(
                f"{place}: {key}: pass a list of values to choice, or a lower and "
                f"an upper bound to {kind}"
            )
        space[key] = (kind, arguments)
    # refuses unknown keys as on the command line
    read_settings(hparams_file, dict.fromkeys(space))
    return space


def _are_ends(values):
    numbers = [v for v in values if isinstance(v, (int, float))]
    return len(numbers) == len(values) == 2 and numbers[0] < numbers[1]


@dataclass(frozen=True)
class SearchPlan:
    """Search space, folds and objective of a search.

    Arguments
    ---------
    space : dict of str: tuple
        The result of ``read_space``.
    trials : int
        Total number of trials; finished ones count.
    metric : str
        Metric to maximize: the mean over the validation sets of ``folds``.
    folds : list of int
        Folds that each trial trains.
    """

    space: dict
    trials: int
    metric: str
    folds: List[int]

    def score(self, run: RunLayout) -> float:
        """Return the score of a finished trial."""
        results = [read_json(run.fold(fold).result) for fold in self.folds]
        return float(np.mean([r["valid"][self.metric] for r in results]))

    def includes(self, values: dict) -> bool:
        """Return whether the search space contains these values."""
        return all(
            values[key] in arguments
            if kind == "choice"
            else arguments[0] <= values[key] <= arguments[1]
            for key, (kind, arguments) in self.space.items()
        )

    def identity(self, base: Run) -> dict:
        """Return the settings that distinguish this search from others."""
        return {
            "system": base.settings.of_fold(0).resolved(),
            "metric": self.metric,
            "folds": sorted(self.folds),
        }


def search(
    hparams_file: str | Path,
    plan: SearchPlan,
    folder: str | Path,
    seed: int,
    options: RayOptions,
    arguments: Sequence[str] = (),
    prepared_folder: str | Path | None = None,
) -> Path:
    """Search hyperparameters and return the path of ``best.yaml``.

    The same call resumes an interrupted search. ``arguments`` are overrides and run
    options for all trials, which share ``prepared_folder``. Raises ``SettingsError`` if the folder belongs to a
    different search, the test set of a fold overlaps with the validation set of
    another one, or no trial succeeds.
    """
    if plan.metric not in METRICS:
        raise InputError(
            f"unknown metric {plan.metric!r}. Choose one of "
            f"{', '.join(METRICS)}."
        )
    folder = Path(os.path.abspath(folder))
    prepared = os.path.abspath(prepared_folder or folder / "prepared")
    base = plan_run(hparams_file, seed, folder / "first", prepared, arguments)
    _check_same_search(folder, base, plan)
    done = _finished(folder, plan)
    if len(done) < plan.trials:
        with connected(options) as ray:
            prepare_on(ray, base, options.threads)
            spoiled = spoiled_folds(base, plan.folds)
            write_json(folder / SEARCH, plan.identity(base))
            _run_trials(base, plan, folder, done, options)
        done = _finished(folder, plan)
    else:
        spoiled = spoiled_folds(base, plan.folds)
    if not done:
        raise SettingsError(
            f"no trial succeeded. See their output in {folder / 'trials'}."
        )
    if len(done) < plan.trials:
        show(
            f"{plan.trials - len(done)} of {plan.trials} trials failed or repeated "
            f"earlier values. See their output in {folder / 'trials'}."
        )
    return _write_best(folder, base, arguments, done, plan, spoiled)


def spoiled_folds(base: Run, folds: list[int]) -> list[int]:
    """Return the folds whose test sets contain validation utterances of the search.

    Raises ``SettingsError`` if the search uses one of them.
    """
    settings = base.settings.plain()
    path = folds_path(
        settings["prepared_folder"], settings["preparation"]["protocol"]
    )
    listed = read_folds(path)
    chosen_on = {
        name for fold in folds for name in split_fold(listed, fold)["valid"]
    }
    spoiled = [
        fold
        for fold in range(count_folds(listed))
        if chosen_on & set(split_fold(listed, fold)["test"])
    ]
    both = sorted(set(spoiled) & set(folds))
    if both:
        raise SettingsError(
            f"the test set of fold {', '.join(map(str, both))} overlaps with the "
            "validation set of another fold of the search, so its result would be "
            "biased. Pass one fold or folds that are not adjacent, such as "
            "--folds=0,2."
        )
    return spoiled


def _check_same_search(folder: Path, base: Run, plan: SearchPlan) -> None:
    """Refuse a folder that contains the trials of a different search."""
    path = folder / SEARCH
    if path.exists():
        before, now = read_json(path), plan.identity(base)
        changed = [key for key in now if now[key] != before.get(key)]
        if changed:
            raise SettingsError(
                f"{folder} belongs to a different search (changed: "
                f"{', '.join(changed)}). Pass another --output-folder."
            )


def _algorithm(
    plan: SearchPlan, seed: int, done: list[tuple[dict, float]]
) -> Any:
    """Return the search algorithm, which knows the finished trials."""
    from ray.tune.search.optuna import OptunaSearch

    return OptunaSearch(
        metric=plan.metric,
        mode="max",
        # a resumed search must not repeat the same random values
        seed=seed + len(done),
        points_to_evaluate=[values for values, _ in done] or None,
        evaluated_rewards=[value for _, value in done] or None,
    )


def _run_trials(
    base: Run,
    plan: SearchPlan,
    folder: Path,
    done: list[tuple[dict, float]],
    options: RayOptions,
) -> None:
    """Run the remaining trials with Ray Tune."""
    try:
        from ray import tune

        algorithm = _algorithm(plan, base.seed, done)
    except ImportError as error:
        raise ImportError(
            f"{error}: pip install 'speechbrain_can[ray]'"
        ) from error
    where = os.getcwd()

    def trial(config):
        """Train all folds with one set of values, each in its own process."""
        os.chdir(where)
        torch.set_num_threads(options.threads)
        run = _run_of(base, config, folder)
        write_json(run.folder / VALUES, config)
        # If trials draw the same values, the second one waits for the first.
        with FileLock(run.folder / "trial.lock"):
            for fold in plan.folds:
                if not run.layout.fold(fold).finished:
                    with printing_to(run.layout.fold_output(fold)):
                        run_in_process(
                            run.hparams_file, of_fold(run.arguments, fold)
                        )
        tune.report({plan.metric: plan.score(run.layout)})

    tune.Tuner(
        tune.with_resources(trial, {"cpu": 1, "gpu": options.gpus}),
        param_space={
            key: getattr(tune, kind)(
                *([values] if kind == "choice" else values)
            )
            for key, (kind, values) in plan.space.items()
        },
        tune_config=tune.TuneConfig(
            search_alg=algorithm,
            metric=plan.metric,
            mode="max",
            num_samples=plan.trials - len(done),
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(folder),
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            verbose=0,
        ),
    ).fit()


def _run_of(base: Run, config: dict, folder: Path) -> Run:
    """Return the run of a trial in a folder named after its values."""
    text = json.dumps(config, sort_keys=True)
    name = fingerprint(text)
    kept = [
        argument
        for argument in base.arguments
        if not argument.startswith("--output_folder=")
    ]
    run_folder = folder / "trials" / name
    run_folder.mkdir(parents=True, exist_ok=True)
    return Run(
        hparams_file=base.hparams_file,
        seed=base.seed,
        folder=run_folder,
        arguments=(
            *kept,
            f"--output_folder={run_folder}",
            # JSON is valid YAML and quotes strings
            *(f"--{key}={json.dumps(value)}" for key, value in config.items()),
        ),
        settings=base.settings,
    )


def _finished(folder: Path, plan: SearchPlan) -> list[tuple[dict, float]]:
    """Return the values and scores of all finished trials in the search space."""
    found = []
    for path in sorted((folder / "trials").glob(f"*/{VALUES}")):
        values = read_json(path)
        run = RunLayout(path.parent)
        finished = all(run.fold(fold).finished for fold in plan.folds)
        keys = set(values) == set(plan.space)
        if finished and keys and plan.includes(values):
            found.append((values, plan.score(run)))
    return found


def _write_best(
    folder: Path,
    base: Run,
    arguments: Sequence[str],
    done: list[tuple[dict, float]],
    plan: SearchPlan,
    spoiled: list[int],
) -> Path:
    """Write the table of trials and the hparams file of the best one."""
    table = pd.DataFrame(
        [{plan.metric: value, **values} for values, value in done]
    ).sort_values(plan.metric, ascending=False, kind="stable")
    with atomic_write(folder / TRIALS) as stream:
        table.to_csv(stream, index=False)
    values, value = max(done, key=lambda trial: trial[1])
    _, _, overrides = sb.parse_arguments([str(base.hparams_file), *arguments])
    given = ruamel.yaml.YAML(typ="safe").load(overrides) or {}
    parts = {
        "base": os.path.relpath(os.path.abspath(base.hparams_file), folder),
        "seed": base.seed,
        **{key: value for key, value in given.items() if key != "fold"},
        **values,
    }
    stream = io.StringIO()
    ruamel.yaml.YAML().dump(parts, stream)
    path = folder / BEST
    with atomic_write(path) as output:
        output.write(
            f"# Best of {len(done)} trials in {TRIALS}: validation {plan.metric} "
            f"{value:.3f} (mean over folds {', '.join(map(str, plan.folds))}).\n"
            "# The search did not use the test sets of these folds. Test sets of "
            "other folds contain its\n# training and validation utterances; "
            "train.py refuses folds with the latter.\n"
            + stream.getvalue()
            + f"chosen_on_folds: {spoiled}\n"
            f"fold: {plan.folds}\n"
            "output_folder: !ref results/best/<seed>\n"
        )
    return path
