"""The Brain that trains every model of this package."""

import ctypes
import os
import random
import sys
import time

import torch

import speechbrain as sb
from speechbrain.dataio.sampler import ReproducibleRandomSampler
from speechbrain_can.files import InputError
from speechbrain_can.lobes.attention import attention_of_words
from speechbrain_can.lobes.losses import cross_entropies, decide, total_loss
from speechbrain_can.lobes.mixup import mixed_targets
from speechbrain_can.lobes.ragged import count_words
from speechbrain_can.results.metrics import evaluate
from speechbrain_can.training.checkpoints import (
    recover_tested,
    save_epoch,
    training_effort,
)
from speechbrain_can.training.distributed import (
    SharedBatches,
    from_first_process,
    mean_over_processes,
)

# oneDNN keeps what it has prepared for the last 1,024 shapes of sequences. Ours
# are ever new: 0.1 MB each, which makes memory grow and saves no time.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")

# Of glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


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


class TrainingError(InputError):
    """Training that cannot go on; the message says why."""


class EmotionBrain(sb.Brain):
    """Trains a model on its weighted cross entropies (eqs 13-15).

    ``modules`` has ``normalize``, for frames, and ``model``, from words and
    frames to an ``EmotionOutput``. ``hparams`` has ``seed``, ``stop_on`` (the
    metric that ends training and chooses the checkpoint), ``epoch_counter`` and
    ``train_logger``, and may have ``tensorboard_train_logger``, ``loss`` (what is
    trained on instead of the cross entropy, see ``EmotionLoss``) and
    ``lr_annealing`` (a scheduler of SpeechBrain's that is called after every
    step, such as ``NoamScheduler``).

    After ``evaluate`` the attributes ``test_ids``, ``test_targets``,
    ``test_log_probabilities`` and ``test_attention`` hold the test set's
    results, in one order, and ``tested_checkpoint`` what gave them; attention
    is empty for a model that has none.
    """

    def init_optimizers(self):
        """Two optimizers where a part has a learning rate of its own.

        That part is ``fine_tuned`` in hparams, a module, and its optimizer
        ``fine_tuned_opt_class``.
        """
        if getattr(self.hparams, "lr_annealing", None):
            self.checkpointer.add_recoverable(
                "lr_annealing", self.hparams.lr_annealing
            )
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
        """From a ``Batch`` to the model's ``EmotionOutput``."""
        batch = batch.to(self.device)
        frames = self.modules.normalize(batch.audio.frames)
        return self.modules.model(
            batch.words, batch.audio._replace(frames=frames)
        )

    def compute_objectives(self, predictions, batch, stage):
        """Total loss of a batch (eq. 14); keeps the statistics of the stage."""
        targets = batch.targets.to(self.device)
        loss = cross_entropies
        if stage == sb.Stage.TRAIN:
            targets = mixed_targets(predictions, targets)
            loss = getattr(self.hparams, "loss", None) or cross_entropies
        losses = loss(predictions, targets)
        total = total_loss(losses, predictions.weights)
        self._check_finite(total, batch.ids, stage)
        if stage == sb.Stage.TRAIN and isinstance(
            self.train_sampler, SharedBatches
        ):
            own, everyone = self.train_sampler.counts(self.step - 1)
            if not own:  # the losses are known, without a value
                self._add_losses({"loss": total, **losses}, count=0)
                return 0 * total.sum()
            # of gradients the mean over processes is taken
            share = self.train_sampler.processes / everyone
        else:
            share = 1 / len(total)
        self._add_losses({"loss": total, **losses}, count=len(total))
        if stage != sb.Stage.TRAIN:
            self.ids.extend(batch.ids)
            self.targets.append(targets)
            self.log_probabilities.append(decide(predictions).float())
        if stage == sb.Stage.TEST and predictions.attention is not None:
            word_counts = count_words(batch.words)
            self.attention.extend(
                attention_of_words(predictions.attention, word_counts)
            )
        return share * total.sum()

    def _check_finite(self, loss, ids, stage):
        """Refuses to go on where a loss ``[batch]`` is no number."""
        wrong = (~loss.isfinite()).nonzero().flatten().tolist()
        if wrong:
            raise TrainingError(
                f"{stage.name.lower()}, epoch {self.hparams.epoch_counter.current}: "
                f"the loss of {ids[wrong[0]]} is {loss[wrong[0]].item()}, as of "
                f"{len(wrong)} of {len(loss)} utterances of the batch. Word vectors "
                "that are no numbers do that, or a step that is too large: look at "
                "glove_file, then try a smaller --lr or --max_grad_norm"
            )

    def _add_losses(self, losses, count):
        """Adds to the sums of a stage the first ``count`` of each ``[batch]``.

        SpeechBrain's ``MetricStats`` keeps every value of an epoch, for which a
        large corpus takes hundreds of megabytes.
        """
        self.loss_count += count
        for name, loss in losses.items():
            self.loss_sums[name] = (
                self.loss_sums.get(name, 0) + loss.detach()[:count].sum()
            )

    def _mean_losses(self, stage):
        """The mean of each loss over the utterances of a stage."""
        if stage == sb.Stage.TRAIN and self.distributed_launch:
            return {
                name: mean_over_processes(total, self.loss_count)
                for name, total in self.loss_sums.items()
            }
        return {
            name: total.item() / self.loss_count
            for name, total in self.loss_sums.items()
        }

    def _train_loader_specifics(self, dataset, loader_kwargs):
        """Of several processes each gets its part of the batches of one."""
        if not self.distributed_launch:
            return super()._train_loader_specifics(dataset, loader_kwargs)
        sampler = loader_kwargs.pop("sampler", None)
        if sampler is None:
            # as SpeechBrain draws for one process
            seed = os.environ.get("SB_GLOBAL_SEED", 563375142)
            sampler = ReproducibleRandomSampler(dataset, seed=seed)
        loader_kwargs.pop("shuffle", None)
        self.train_sampler = SharedBatches(
            sampler,
            loader_kwargs.pop("batch_size"),
            self.rank,
            torch.distributed.get_world_size(),
        )
        return {**loader_kwargs, "batch_sampler": self.train_sampler}

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        """Moves the learning rate of what has none of its own."""
        scheduler = getattr(self.hparams, "lr_annealing", None)
        if should_step and scheduler:
            scheduler(self.optimizers_dict["opt_class"])

    def on_fit_start(self):
        """Also recalls the time that was spent before a resume."""
        keep_freed_memory()
        super().on_fit_start()
        _, seconds_before = training_effort(self.checkpointer)
        self.started = time.perf_counter() - seconds_before

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Loads the checkpoint that is best on the validation set."""
        self.tested_checkpoint = recover_tested(self.checkpointer)

    @torch.no_grad()
    def predict(self, dataset, loader_kwargs):
        """Decisions on a dataset, without statistics or a line in the log.

        Arguments
        ---------
        dataset : DynamicItemDataset
            See ``make_datasets``.
        loader_kwargs : dict
            As for ``evaluate``.

        Returns
        -------
        log_probabilities : torch.Tensor
            Shape ``[utterances, classes]``.
        targets : torch.Tensor
            Shape ``[utterances]``.
        """
        self.modules.eval()
        loader = self.make_dataloader(
            dataset, stage=sb.Stage.TEST, **loader_kwargs
        )
        decisions, targets = [], []
        for batch in loader:
            output = self.compute_forward(batch, stage=sb.Stage.TEST)
            decisions.append(decide(output).float().cpu())
            targets.append(batch.targets)
        return torch.cat(decisions), torch.cat(targets)

    def on_stage_start(self, stage, epoch=None):
        """Gets called at the beginning of each stage."""
        self.loss_sums, self.loss_count = {}, 0
        self.ids, self.targets, self.log_probabilities = [], [], []
        self.attention = []
        if stage == sb.Stage.TRAIN:
            # A resumed run then drops out the same units as an unbroken one,
            # and every process units of its own.
            rank = sb.utils.distributed.get_rank() or 0
            seed = self.hparams.seed + epoch + 1_000_003 * rank
            torch.manual_seed(seed)
            random.seed(seed)  # SpeechBrain's Augmenter draws from it, too

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Gets called at the end of each stage."""
        stats = self._mean_losses(stage)
        if stage == sb.Stage.TRAIN:
            self.train_stats = stats
            return
        targets = torch.cat(self.targets).cpu()
        log_probabilities = torch.cat(self.log_probabilities).cpu()
        # all stop after the same epoch, should a rounding differ
        scores = from_first_process(
            evaluate(targets.tolist(), log_probabilities.argmax(1).tolist())
        )
        stats.update(scores)
        if stage == sb.Stage.VALID:
            error = 1 - stats[self.hparams.stop_on]
            # Before the checkpoint, which saves whether it is time to stop.
            self.hparams.epoch_counter.update_metric(error)
            seconds = time.perf_counter() - self.started
            save_epoch(self.checkpointer, epoch, error, seconds, scores)
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
