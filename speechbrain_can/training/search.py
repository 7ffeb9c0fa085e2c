"""Search of hyper-parameters on validation sets, by Ray Tune and Optuna.

Test sets are never looked at: a trial is worth the mean of its validation metric
over folds.

Authors
 * The speechbrain-can developers 2026
"""

import io
import os
from pathlib import Path

import pandas as pd
import ruamel.yaml
import torch

from speechbrain_can.files import InputError, atomic_write, read_json
from speechbrain_can.hparams import SettingsError, read_settings
from speechbrain_can.results.folds import fold_result
from speechbrain_can.training.ray_runs import (
    RETRIES,
    connected,
    import_ray,
    of_fold,
    output_path,
    printing_to,
    run_train,
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
BEST, TRIALS = "best.yaml", "trials.csv"


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
    if not lines:
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
        space[key] = (kind, arguments)
    # a key that the file does not have is refused as on the command line
    read_settings(hparams_file, dict.fromkeys(space))
    return space


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

    Returns
    -------
    Path
        ``best.yaml``, an hparams file for ``train.py``.

    Raises
    ------
    SettingsError
        If no trial succeeds.
    """
    ray = import_ray()
    try:
        import optuna  # noqa: F401
        from ray import tune
        from ray.tune.search.optuna import OptunaSearch
    except ImportError as error:
        raise ImportError(
            f"{error}: pip install 'speechbrain_can[ray]'"
        ) from error
    folder = Path(os.path.abspath(folder))
    done = _finished(folder, space, metric, folds)
    threads = max(1, torch.get_num_threads() // workers)
    base = plan_run(hparams_file, seed, folder, folder, arguments)
    where = os.getcwd()

    def trial(config):
        """One set of values: every fold, in a process of its own."""
        os.chdir(where)
        torch.set_num_threads(threads)
        run = _run_of(base, config, folder, arguments)
        for fold in folds:
            if not fold_result(run.folder, fold).exists():
                with printing_to(output_path(run, fold)):
                    run_train(run.hparams_file, of_fold(run.arguments, fold))
        tune.report({metric: _value(run.folder, metric, folds)})

    if len(done) < trials:
        algorithm = OptunaSearch(
            metric=metric,
            mode="max",
            # another one draws what was not tried yet
            seed=seed + len(done),
            points_to_evaluate=[values for values, _ in done] or None,
            evaluated_rewards=[value for _, value in done] or None,
        )
        with connected(workers, address):
            tune.Tuner(
                tune.with_resources(trial, {"cpu": 1}),
                param_space={
                    key: getattr(tune, kind)(
                        *([choices] if kind == "choice" else choices)
                    )
                    for key, (kind, choices) in space.items()
                },
                tune_config=tune.TuneConfig(
                    search_alg=tune.search.ConcurrencyLimiter(
                        algorithm, max_concurrent=workers
                    )
                    if address is None
                    else algorithm,
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
        del ray
    done = _finished(folder, space, metric, folds)
    if not done:
        raise SettingsError(
            f"no trial succeeded; {folder / 'trials'} has what they printed"
        )
    return _write_best(folder, hparams_file, done, metric, folds)


def _run_of(base, config, folder, arguments):
    """The run of a trial, in a folder named after its values."""
    name = ",".join(f"{key}@{value}" for key, value in sorted(config.items()))
    return Run(
        hparams_file=base.hparams_file,
        seed=base.seed,
        folder=folder / "trials" / name,
        arguments=(
            f"--seed={base.seed}",
            f"--output_folder={folder / 'trials' / name}",
            f"--prepared_folder={folder / 'prepared'}",
            *arguments,
            *(f"--{key}={value}" for key, value in config.items()),
        ),
        settings=base.settings,
    )


def _value(folder, metric, folds):
    results = [read_json(fold_result(folder, fold)) for fold in folds]
    return sum(result["valid"][metric] for result in results) / len(results)


def _finished(folder, space, metric, folds):
    """Values and worth of every finished trial, as their folders tell."""
    found = []
    for path in sorted((folder / "trials").glob("*")):
        values = ruamel.yaml.YAML(typ="safe").load(
            "\n".join(path.name.replace("@", ": ").split(","))
        )
        finished = all(fold_result(path, fold).exists() for fold in folds)
        if finished and set(values) == set(space):
            found.append((values, _value(path, metric, folds)))
    return found


def _write_best(folder, hparams_file, done, metric, folds):
    table = pd.DataFrame(
        [{metric: value, **values} for values, value in done]
    ).sort_values(metric, ascending=False, kind="stable")
    with atomic_write(folder / TRIALS) as stream:
        table.to_csv(stream, index=False)
    values, value = max(done, key=lambda trial: trial[1])
    path = folder / BEST
    base = os.path.relpath(os.path.abspath(hparams_file), folder)
    stream = io.StringIO()
    ruamel.yaml.YAML().dump({"base": base, **values}, stream)
    with atomic_write(path) as output:
        output.write(
            f"# The best of {len(done)} trials: validation {metric} {value:.3f}, "
            f"mean of fold(s) {', '.join(map(str, folds))}\n"
            f"# {TRIALS} has the others. The test sets were not looked at.\n"
            + stream.getvalue()
        )
    return path
