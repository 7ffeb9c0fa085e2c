"""The Brain that trains every model of this package.

Authors
 * The speechbrain-can developers 2026
"""

import ctypes
import math
import sys
import time

import torch

import speechbrain as sb
from speechbrain.utils.metric_stats import MetricStats
from speechbrain_can.lobes.losses import cross_entropies, decide, total_loss
from speechbrain_can.lobes.ragged import WordFrames, count_words
from speechbrain_can.results.metrics import accuracies

# Of glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def _quality(checkpoint):
    """Ranks checkpoints; the first of equally good ones, as the stopper does.

    One from the middle of an epoch has no error yet.
    """
    error = checkpoint.meta.get("error", math.inf)
    return -error, -checkpoint.meta.get("epoch", 0)


def keep_freed_memory():
    """Keeps what tensors free for those of the next batch (glibc on Linux).

    By default glibc gives large blocks back to the system, which has to clear
    them page by page when the next batch asks for them: a fifth of the training
    time on a CPU.
    """
    mallopt = sys.platform == "linux" and getattr(
        ctypes.CDLL(None), "mallopt", None
    )
    if mallopt:
        for option, value in (
            # some releases take no more than the first
            (M_MMAP_THRESHOLD, 2**25),
            (M_MMAP_THRESHOLD, 2**30),
            (M_TRIM_THRESHOLD, 2**31 - 1),
            (M_TOP_PAD, 2**26),
        ):
            mallopt(option, value)


class EmotionBrain(sb.Brain):
    """Trains a model on its weighted cross entropies (eqs 13-15).

    ``modules`` has ``normalize``, for frames, and ``model``, from words and
    frames to an ``EmotionOutput``. ``hparams`` has ``seed``, ``epoch_counter``
    and ``train_logger``, and may have ``tensorboard_train_logger``.

    After ``evaluate`` the attributes ``test_ids``, ``test_targets``,
    ``test_log_probabilities`` and ``test_attention`` hold the test set's
    results, in one order; attention is empty for a model that has none.
    """

    def init_optimizers(self):
        """Two optimizers where a part has a learning rate of its own.

        That part is ``fine_tuned`` in hparams, a module, and its optimizer
        ``fine_tuned_opt_class``.
        """
        if not hasattr(self.hparams, "fine_tuned_opt_class"):
            super().init_optimizers()
            return
        rest = {id(p): p for p in self.modules.parameters() if p.requires_grad}
        fine_tuned = [
            rest.pop(id(p))
            for p in self.hparams.fine_tuned.parameters()
            if id(p) in rest
        ]
        self.optimizers_dict = {"opt_class": self.opt_class(rest.values())}
        if fine_tuned:
            self.optimizers_dict["fine_tuned_opt_class"] = (
                self.hparams.fine_tuned_opt_class(fine_tuned)
            )
        for name, optimizer in self.optimizers_dict.items():
            self.checkpointer.add_recoverable(name, optimizer)

    def compute_forward(self, batch, stage):
        """From a batch of words and frames to the model's predictions.

        Arguments
        ---------
        batch : PaddedBatch
            As ``flat_batch`` makes it.
        stage : sb.Stage
            Not used: the modules know whether they train.

        Returns
        -------
        EmotionOutput
            Logits and their weights.
        """
        batch = batch.to(self.device)
        audio = WordFrames(
            frames=self.modules.normalize(batch.frames.data),
            frame_counts=batch.frame_counts.data,
            word_counts=batch.frame_counts.lengths,
        )
        return self.modules.model(batch.words, audio)

    def compute_objectives(self, predictions, batch, stage):
        """Total loss of a batch (eq. 14); keeps the statistics of the stage.

        Arguments
        ---------
        predictions : EmotionOutput
            What ``compute_forward`` returned.
        batch : PaddedBatch
            The batch.
        stage : sb.Stage
            Whether decisions are kept too.

        Returns
        -------
        torch.Tensor
            The mean over the batch, a scalar.
        """
        targets = batch.emotion_encoded.data
        losses = cross_entropies(predictions, targets)
        total = total_loss(losses, predictions.weights)
        for name, loss in {"loss": total, **losses}.items():
            stats = self.loss_metrics.setdefault(
                name, MetricStats(metric=lambda loss: loss)
            )
            stats.append(batch.id, loss.detach())
        if stage != sb.Stage.TRAIN:
            self.ids.extend(batch.id)
            self.targets.append(targets)
            self.log_probabilities.append(decide(predictions).float())
        if stage == sb.Stage.TEST and predictions.attention is not None:
            word_counts = count_words(batch.words)
            self.attention.extend(predictions.attention.of_words(word_counts))
        return total.mean()

    def on_fit_start(self):
        """Also recalls the time that was spent before a resume."""
        keep_freed_memory()
        super().on_fit_start()
        _, seconds_before = self.training_effort()
        self.started = time.perf_counter() - seconds_before

    def training_effort(self):
        """What the checkpoints say of the training so far.

        Returns
        -------
        epochs : int
            Number of finished epochs.
        seconds : float
            Time that they took, over all resumes.
        """
        checkpoints = self.checkpointer.list_checkpoints()
        return max(
            (
                (checkpoint.meta["epoch"], checkpoint.meta["seconds"])
                for checkpoint in checkpoints
                if "epoch" in checkpoint.meta
            ),
            default=(0, 0.0),
        )

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Loads the checkpoint with the best validation accuracy.

        Arguments
        ---------
        max_key, min_key : str
            Not used.
        """
        if self.training_effort() == (0, 0.0):
            raise FileNotFoundError(
                f"There is no checkpoint in {self.checkpointer.checkpoints_dir}"
                " to test; train first"
            )
        self.checkpointer.recover_if_possible(importance_key=_quality)

    def on_stage_start(self, stage, epoch=None):
        """Gets called at the beginning of each stage.

        Arguments
        ---------
        stage : sb.Stage
            The stage.
        epoch : int or None
            None during the test.
        """
        self.loss_metrics = {}
        self.ids, self.targets, self.log_probabilities = [], [], []
        self.attention = []
        if stage == sb.Stage.TRAIN:
            # A resumed run then drops out the same units as an unbroken one,
            # and every process units of its own.
            rank = sb.utils.distributed.get_rank() or 0
            torch.manual_seed(self.hparams.seed + epoch + 1_000_003 * rank)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Gets called at the end of each stage.

        Arguments
        ---------
        stage : sb.Stage
            The stage.
        stage_loss : float
            Not used: the mean over batches weighs a short last batch too much.
        epoch : int or None
            None during the test.
        """
        stats = {
            name: metric.summarize("average")
            for name, metric in self.loss_metrics.items()
        }
        if stage == sb.Stage.TRAIN:
            self.train_stats = stats
            return
        targets = torch.cat(self.targets).cpu()
        log_probabilities = torch.cat(self.log_probabilities).cpu()
        stats.update(
            accuracies(targets.tolist(), log_probabilities.argmax(1).tolist())
        )
        if stage == sb.Stage.VALID:
            error = 1 - stats["WA"]
            # Before the checkpoint, which saves whether it is time to stop.
            self.hparams.epoch_counter.update_metric(error)
            self.checkpointer.save_and_keep_only(
                meta={
                    "error": error,
                    "epoch": epoch,
                    "seconds": time.perf_counter() - self.started,
                },
                importance_keys=[_quality],
            )
            # After it: an epoch that is done again is not logged twice.
            self._log({"epoch": epoch}, self.train_stats, valid_stats=stats)
        else:
            self.test_ids, self.test_targets = self.ids, targets
            self.test_log_probabilities = log_probabilities
            self.test_attention = self.attention
            epoch = self.hparams.epoch_counter.current
            self._log({"epoch loaded": epoch}, test_stats=stats)

    def _log(self, meta, train_stats=None, valid_stats=None, test_stats=None):
        self.hparams.train_logger.log_stats(
            meta, train_stats, valid_stats, test_stats
        )
        if hasattr(self.hparams, "tensorboard_train_logger"):
            self.hparams.tensorboard_train_logger.log_stats(
                meta, train_stats, valid_stats, test_stats
            )
