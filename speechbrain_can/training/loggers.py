"""Training loggers in addition to those of SpeechBrain."""

from typing import Any

from speechbrain.utils.distributed import if_main_process, main_process_only
from speechbrain.utils.train_logger import TrainLogger


class MLflowLogger(TrainLogger):
    """Log losses and metrics to MLflow.

    Arguments
    ---------
    experiment : str
        Name of the experiment.
    tracking_uri : str or None
        Server or database, such as ``sqlite:///mlflow.db``; None for that of the
        environment.
    **options
        Arguments of ``MlflowClient.create_run``. A run with the same ``run_name`` that
        was interrupted is resumed.

    Raises
    ------
    ImportError
        If MLflow is not installed.
    """

    def __init__(
        self, experiment: str, tracking_uri: str | None = None, **options: Any
    ):
        try:
            import mlflow
        except ImportError as error:
            raise ImportError(
                "MLflowLogger needs MLflow. Run pip install "
                "'speechbrain_can[mlflow]'."
            ) from error
        if not if_main_process():
            return
        self.client = mlflow.MlflowClient(tracking_uri)
        found = self.client.get_experiment_by_name(experiment)
        number = (
            found.experiment_id
            if found
            else self.client.create_experiment(experiment)
        )
        self.run = self._interrupted(number, options.get("run_name"))
        if self.run is None:
            self.run = self.client.create_run(number, **options).info.run_id

    def _interrupted(self, number: str, name: str | None) -> str | None:
        """Return the interrupted run of a name, which is resumed."""
        if name is None:
            return None
        for run in self.client.search_runs([number]):
            if (run.info.run_name, run.info.status) == (name, "RUNNING"):
                return run.info.run_id
        return None

    @main_process_only
    def log_stats(
        self,
        stats_meta,
        train_stats=None,
        valid_stats=None,
        test_stats=None,
        verbose=False,
    ):
        """See ``TrainLogger.log_stats``; the step is the epoch."""
        step = stats_meta.get("epoch", stats_meta.get("epoch loaded", 0))
        for part, stats in (
            ("train", train_stats),
            ("valid", valid_stats),
            ("test", test_stats),
        ):
            for name, value in (stats or {}).items():
                self.client.log_metric(
                    self.run, f"{part} {name}", float(value), step=step
                )
        if test_stats is not None:
            self.client.set_terminated(self.run)
