"""Search of hyper-parameters on validation sets, by Ray Tune and Optuna.

A trial is worth the mean of its validation metric over folds. What validates in one
fold is tested in another, as a rule: which folds may be reported with the winner
is worked out and written beside it."""

import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import ruamel.yaml
import torch
from filelock import FileLock

import speechbrain as sb
from speechbrain_can.corpus.folds import count_folds, read_folds, split_fold
from speechbrain_can.corpus.prepare import folds_path
from speechbrain_can.files import (
    InputError,
    atomic_write,
    read_json,
    write_json,
)
from speechbrain_can.hparams import SettingsError, read_settings
from speechbrain_can.results.folds import fold_result
from speechbrain_can.results.metrics import METRICS
from speechbrain_can.training.ray_runs import (
    RETRIES,
    connected,
    of_fold,
    output_path,
    prepare_on,
    printing_to,
    run_in_process,
    threads_of,
)
from speechbrain_can.training.runs import Run, plan_run

# What a space may draw from, as Ray Tune calls it
DISTRIBUTIONS = ("choice", "uniform", "loguniform", "randint")
# The paper's own choices, and what it does not say
DEFAULT_SPACE = """\
align_weight: {loguniform: [0.01, 1.0]}
overlap: {uniform: [0.0, 0.5]}
heads: {choice: [1, 2, 4, 8]}
lr: {loguniform: [0.0003, 0.003]}
"""
BEST, TRIALS, SEARCH, VALUES = (
    "best.yaml",
    "trials.csv",
    "search.json",
    "values.json",
)


def read_space(path, hparams_file):
    """A space of hyper-parameters: distribution and arguments by key.

    Arguments
    ---------
    path : str or Path or None
        YAML, a line as ``lr: {loguniform: [0.0003, 0.003]}`` for each; None takes
        ``DEFAULT_SPACE``.
    hparams_file : str or Path
        The file whose keys they are.

    Returns
    -------
    dict of str: tuple
        Distribution and arguments.

    Raises
    ------
    InputError
        If a line cannot be read, or nothing reads a key.
    """
    text = DEFAULT_SPACE if path is None else Path(path).read_text("utf-8")
    place = path or "the default space"
    lines = ruamel.yaml.YAML(typ="safe").load(text)
    if not lines or not isinstance(lines, dict):
        raise InputError(f"{place} names no hyper-parameter")
    space = {}
    for key, line in lines.items():
        if not isinstance(line, dict) or len(line) != 1:
            raise InputError(
                f"{place}: write a line as {key}: {{uniform: [0, 1]}}"
            )
        ((kind, arguments),) = line.items()
        if kind not in DISTRIBUTIONS:
            raise InputError(
                f"{place}: {key} has {kind}; choose one of "
                f"{', '.join(DISTRIBUTIONS)}"
            )
        ends = isinstance(arguments, list) and arguments
        if not ends or (kind != "choice" and not _are_ends(arguments)):
            raise InputError(
                f"{place}: {key}: {kind} needs a list, of two numbers that rise "
                "unless it is a choice"
            )
        space[key] = (kind, arguments)
    # a key that the file does not have is refused as on the command line
    read_settings(hparams_file, dict.fromkeys(space))
    return space


def _are_ends(values):
    numbers = [v for v in values if isinstance(v, (int, float))]
    return len(numbers) == len(values) == 2 and numbers[0] < numbers[1]


def search(
    hparams_file,
    space,
    folder,
    trials,
    metric,
    folds,
    seed,
    workers,
    arguments=(),
    address=None,
    gpus=0,
):
    """Searches, goes on where it was, and writes what is best.

    Arguments
    ---------
    hparams_file : str or Path
        The system.
    space : dict
        As ``read_space`` gives it.
    folder : str or Path
        Of trials and of what is found: ``best.yaml``, ``trials.csv``.
    trials : int
        How many in all.
    metric : str
        Of the validation sets, the higher the better.
    folds : list of int
        Over which the mean is taken.
    seed : int
        Of the search and of every training.
    workers : int
        Trials at a time on this machine.
    arguments : list of str
        Overrides and run options for every trial.
    address : str or None
        Of a Ray cluster.
    gpus : float
        Of a trial.

    Returns
    -------
    Path
        ``best.yaml``, an hparams file for ``train.py``.

    Raises
    ------
    SettingsError
        If the folder is that of another search, a fold is tested by what
        another one validates on, or no trial succeeds.
    """
    if metric not in METRICS:
        raise InputError(
            f"metric is {metric!r}; choose one of {', '.join(METRICS)}"
        )
    folder = Path(os.path.abspath(folder))
    base = plan_run(
        hparams_file, seed, folder / "first", folder / "prepared", arguments
    )
    _check_same_search(folder, base, metric, folds)
    done = _finished(folder, space, metric, folds)
    if len(done) < trials:
        with connected(workers, address) as ray:
            threads = threads_of(workers, address)
            prepare_on(ray, base, threads)
            spoiled = spoiled_folds(base, folds)
            write_json(folder / SEARCH, _description(base, metric, folds))
            _run_trials(
                base,
                space,
                folder,
                trials,
                metric,
                folds,
                done,
                threads,
                gpus,
            )
        done = _finished(folder, space, metric, folds)
    else:
        spoiled = spoiled_folds(base, folds)
    if not done:
        raise SettingsError(
            f"no trial succeeded; {folder / 'trials'} has what they printed"
        )
    if len(done) < trials:
        print(
            f"{trials - len(done)} of {trials} trials failed or drew what was "
            f"drawn before; {folder / 'trials'} has what they printed"
        )
    return _write_best(folder, base, arguments, done, metric, folds, spoiled)


def spoiled_folds(base, folds):
    """Folds whose test sets something is chosen on in a search of these folds.

    Raises ``SettingsError`` if one of them is searched itself.
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
            f"the test set of fold(s) {', '.join(map(str, both))} validates in "
            "another fold that is searched on: what is chosen on it could not be "
            "tested on it. Search folds that are not beside each other, such as "
            "--folds=0,2, or one"
        )
    return spoiled


def _description(base, metric, folds):
    """What makes a search another one."""
    return {
        "system": base.settings.of_fold(0).resolved(),
        "metric": metric,
        "folds": sorted(folds),
    }


def _check_same_search(folder, base, metric, folds):
    """Trials of another search are not counted as this one's."""
    path = folder / SEARCH
    if path.exists():
        before, now = read_json(path), _description(base, metric, folds)
        changed = [key for key in now if now[key] != before.get(key)]
        if changed:
            raise SettingsError(
                f"{folder} is another search's: it has another "
                f"{', '.join(changed)}; give another --output_folder"
            )


def _run_trials(
    base, space, folder, trials, metric, folds, done, threads, gpus
):
    """Lets Ray Tune run what is left of the budget."""
    try:
        from ray import tune
        from ray.tune.search.optuna import OptunaSearch
    except ImportError as error:
        raise ImportError(
            f"{error}: pip install 'speechbrain_can[ray]'"
        ) from error
    where = os.getcwd()

    def trial(config):
        """One set of values: every fold, in a process of its own."""
        os.chdir(where)
        torch.set_num_threads(threads)
        run = _run_of(base, config, folder)
        write_json(run.folder / VALUES, config)
        # two may draw the same values: the second one waits, and trains nothing
        with FileLock(run.folder / "trial.lock"):
            for fold in folds:
                if not fold_result(run.folder, fold).exists():
                    with printing_to(output_path(run, fold)):
                        run_in_process(
                            run.hparams_file, of_fold(run.arguments, fold)
                        )
        tune.report({metric: _value(run.folder, metric, folds)})

    known = [pair for pair in done if _is_inside(pair[0], space)]
    algorithm = OptunaSearch(
        metric=metric,
        mode="max",
        # another one draws what was not tried yet
        seed=base.seed + len(done),
        points_to_evaluate=[values for values, _ in known] or None,
        evaluated_rewards=[value for _, value in known] or None,
    )
    tune.Tuner(
        tune.with_resources(trial, {"cpu": 1, "gpu": gpus}),
        param_space={
            key: getattr(tune, kind)(
                *([values] if kind == "choice" else values)
            )
            for key, (kind, values) in space.items()
        },
        tune_config=tune.TuneConfig(
            search_alg=algorithm,
            metric=metric,
            mode="max",
            num_samples=trials - len(done),
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(folder),
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            verbose=0,
        ),
    ).fit()


def _run_of(base, config, folder):
    """The run of a trial, in a folder named by its values."""
    text = json.dumps(config, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:12]
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
            # JSON is YAML: a text stays a text
            *(f"--{key}={json.dumps(value)}" for key, value in config.items()),
        ),
        settings=base.settings,
    )


def _is_inside(values, space):
    """Whether the space could have drawn these values."""
    return all(
        values[key] in arguments
        if kind == "choice"
        else arguments[0] <= values[key] <= arguments[1]
        for key, (kind, arguments) in space.items()
    )


def _value(folder, metric, folds):
    results = [read_json(fold_result(folder, fold)) for fold in folds]
    return float(np.mean([result["valid"][metric] for result in results]))


def _finished(folder, space, metric, folds):
    """Values and worth of every finished trial over these keys."""
    found = []
    for path in sorted((folder / "trials").glob(f"*/{VALUES}")):
        values = read_json(path)
        finished = all(
            fold_result(path.parent, fold).exists() for fold in folds
        )
        if finished and set(values) == set(space):
            found.append((values, _value(path.parent, metric, folds)))
    return found


def _write_best(folder, base, arguments, done, metric, folds, spoiled):
    table = pd.DataFrame(
        [{metric: value, **values} for values, value in done]
    ).sort_values(metric, ascending=False, kind="stable")
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
            f"# The best of {len(done)} trials: validation {metric} {value:.3f}, "
            f"mean of fold(s) {', '.join(map(str, folds))}. {TRIALS} has all.\n"
            f"# The test set of fold(s) {', '.join(map(str, folds))} took no part in "
            "it; those of others trained, or\n# validated: train.py refuses the latter.\n"
            + stream.getvalue()
            + f"chosen_on_folds: {spoiled}\n"
            f"fold: {folds[0]}\n"
            "output_folder: !ref results/best/<seed>\n"
        )
    return path
