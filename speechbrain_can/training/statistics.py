"""Statistics of one stage of training, accumulated over its batches."""

from typing import Any

import numpy as np
import torch

from speechbrain_can.io.files import InputError
from speechbrain_can.metrics.dimensions import CCC, evaluate_dimensions
from speechbrain_can.metrics.metrics import evaluate
from speechbrain_can.training.distributed import (
    from_first_process,
    mean_over_processes,
)

# Steps after which the losses on a GPU are checked, because each check waits for it
CHECKED_STEPS = 50


class TrainingError(InputError):
    """Raised when training cannot continue; the message states the reason."""


class StageStatistics:
    """Mean losses and decisions of one stage of an epoch.

    SpeechBrain's ``MetricStats`` stores every value of an epoch, which takes
    hundreds of megabytes for a large corpus. Training therefore adds sums only.

    Arguments
    ---------
    name : str
        Name of the stage for errors.
    checked_steps : int
        Number of batches after which their losses are checked.
    """

    def __init__(self, name: str, checked_steps: int = 1) -> None:
        self._name, self._checked_steps = name, checked_steps
        self._watched = []
        self.last_loss = torch.zeros(())  # mean of a batch, on the CPU
        self._losses, self._count = {}, 0
        self._targets, self._log_probabilities = [], []
        self.ids = []
        self.attention = []
        self._values, self._dimensions = [], []
        self._heads = {}  # predicted classes of each classifier

    def watch(self, losses: torch.Tensor, ids: list[str]) -> None:
        """Check losses ``[batch]`` together with those of other batches."""
        self._watched.append((losses.detach(), ids))
        if len(self._watched) >= self._checked_steps:
            self.check_losses()

    def check_losses(self) -> None:
        """Raise a ``TrainingError`` for the first loss that is not finite."""
        if not self._watched:
            return
        watched, self._watched = self._watched, []
        losses = torch.cat([losses for losses, _ in watched]).cpu()
        wrong = (~losses.isfinite()).nonzero().flatten().tolist()
        if wrong:
            ids = [name for _, names in watched for name in names]
            raise TrainingError(
                f"{self._name}: the loss of {ids[wrong[0]]} is "
                f"{losses[wrong[0]].item()} ({len(wrong)} of the {len(losses)} "
                "utterances that were checked have non-finite losses). Check "
                "glove_file for non-finite values, then try a smaller --lr or "
                "--max_grad_norm."
            )
        last = len(watched[-1][0])
        self.last_loss = losses[-last:].mean() if last else self.last_loss

    def add_losses(self, losses: dict[str, torch.Tensor], count: int) -> None:
        """Add the first ``count`` values of each loss ``[batch]``."""
        self._count += count
        for name, loss in losses.items():
            total = loss.detach()[:count].sum()
            self._losses[name] = self._losses.get(name, 0) + total

    def losses(self) -> dict[str, Any]:
        """Return the state of the mean losses, for a checkpoint within an epoch."""
        totals = {name: float(total) for name, total in self._losses.items()}
        return {"totals": totals, "count": self._count}

    def restore_losses(self, state: dict[str, Any]) -> None:
        """Restore the result of ``losses``."""
        self._losses = {k: torch.tensor(v) for k, v in state["totals"].items()}
        self._count = state["count"]

    def add_decisions(
        self,
        ids: list[str],
        targets: torch.Tensor,
        log_probabilities: torch.Tensor,
    ) -> None:
        """Add classes ``[batch]`` and log-probabilities ``[batch, classes]``."""
        self.ids.extend(ids)
        self._targets.append(targets)
        self._log_probabilities.append(log_probabilities.float())

    def add_dimensions(
        self, values: torch.Tensor, labels: torch.Tensor
    ) -> None:
        """Add predicted dimensions and their labels, ``[batch, dimensions]``."""
        self._values.append(values.float())
        self._dimensions.append(labels)

    def add_heads(self, logits: dict[str, torch.Tensor]) -> None:
        """Add the predictions of each classifier, logits ``[batch, classes]``."""
        for name, own in logits.items():
            self._heads.setdefault(name, []).append(own.argmax(dim=1))

    @property
    def heads(self) -> dict[str, torch.Tensor]:
        """Return the predicted classes of each classifier, ``[utterances]``."""
        return {name: torch.cat(own).cpu() for name, own in self._heads.items()}

    @property
    def dimensions(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return predictions and labels, ``[utterances, dimensions]``, if any."""
        if not self._values:
            return None
        return tuple(
            torch.cat(each).cpu().numpy()
            for each in (self._values, self._dimensions)
        )

    def mean_losses(self, all_processes: bool) -> dict[str, float]:
        """Return the mean of each loss, optionally over all processes."""
        if all_processes:
            return {
                name: mean_over_processes(total, self._count)
                for name, total in self._losses.items()
            }
        return {
            name: float(total) / self._count
            for name, total in self._losses.items()
        }

    @property
    def targets(self) -> torch.Tensor:
        """Return the reference classes, ``[utterances]``."""
        return torch.cat(self._targets).cpu()

    @property
    def log_probabilities(self) -> torch.Tensor:
        """Return the decisions, ``[utterances, classes]``."""
        return torch.cat(self._log_probabilities).cpu()

    def scores(self) -> dict[str, float]:
        """Return the metrics, which are the same in all processes."""
        # Rounding may differ; all processes must stop after the same epoch.
        predicted = self.log_probabilities.argmax(1)
        scores = evaluate(self.targets.tolist(), predicted.tolist())
        if self.dimensions is not None:
            values, labels = self.dimensions
            names = range(labels.shape[1])
            found = evaluate_dimensions(values, labels, names)[CCC]
            if found is not None:  # None without any label
                scores[CCC] = found
        return from_first_process(scores)
