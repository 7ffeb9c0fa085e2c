"""Conformal scores of the models of a run, from the test sets of its other folds."""

from speechbrain_can.io.files import read_json
from speechbrain_can.metrics.conformal import merged
from speechbrain_can.model_folder.parameters import PACKED, stored_files
from speechbrain_can.model_folder.statistics import STATISTICS, ModelStatistics
from speechbrain_can.model_folder.write import replace_statistics
from speechbrain_can.runs.layout import RunLayout
from speechbrain_can.runs.predictions import conformal_scores, read_predictions
from speechbrain_can.runs.results import finished_folds

FEWEST_FOLDS = 3


def calibrate_models(run: RunLayout) -> None:
    """Replace the nonconformity scores of model folders by those of the other folds.

    The validation set of a fold may have a single speaker and selects the checkpoint,
    so its scores are optimistic. The scores of another fold, of its own model on its test
    set, are not. Does nothing with fewer than three finished folds.
    """
    folds = {
        result["fold"]: conformal_scores(
            read_predictions(run.fold(result["fold"]).predictions),
            result.get("temperature", 1.0),
        )
        for result in finished_folds(run)
    }
    if len(folds) < FEWEST_FOLDS:
        return
    for number in folds:
        folder = run.fold(number).model
        if not (folder / STATISTICS).exists():
            continue
        before = ModelStatistics(**read_json(folder / STATISTICS))
        others = [own for fold, own in folds.items() if fold != number]
        after = before.model_copy(update={"conformal": merged(others)})
        sealed = STATISTICS in stored_files(folder / PACKED)
        if after != before or not sealed:
            replace_statistics(folder, after)
