"""The Brain that trains all models of this package."""

import os
import random
import time
from typing import Iterable, Iterator

import torch
import yaml

import speechbrain as sb
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.sampler import ReproducibleRandomSampler
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain_can.lobes.attention import word_attention
from speechbrain_can.lobes.dimensions import (
    DimensionOutput,
    decide_dimensions,
    standardized,
)
from speechbrain_can.lobes.losses import (
    EmotionOutput,
    cross_entropies,
    decide,
    total_loss,
)
from speechbrain_can.lobes.mixup import mixed_targets
from speechbrain_can.lobes.ragged import count_words
from speechbrain_can.training.adaptation import EvaluatedSpeakers
from speechbrain_can.training.checkpoints import (
    random_state,
    recover_tested,
    restore_random_state,
    save_epoch,
    training_effort,
)
from speechbrain_can.training.data import Batch
from speechbrain_can.training.distributed import SharedBatches
from speechbrain_can.training.memory import keep_freed_memory
from speechbrain_can.training.statistics import CHECKED_STEPS, StageStatistics


@register_checkpoint_hooks
class EmotionBrain(sb.Brain):
    """Brain that trains a model with a weighted sum of cross entropies (eqs 13-15).

    ``modules`` contains ``normalize``, which maps frames to normalized frames, and
    ``model``, which maps words and frames to an ``EmotionOutput``. ``hparams``
    contains ``seed``, ``stop_on`` (the early stopping metric), ``epoch_counter`` and
    ``train_logger``. It may contain ``tensorboard_train_logger``, ``loss`` (replaces
    the cross entropy, see ``EmotionLoss``), ``dimension_loss`` (for models with
    emotional dimensions) and ``lr_annealing`` (a SpeechBrain scheduler that is called
    after every step, such as ``NoamScheduler``).

    After ``evaluate``, ``test_ids``, ``test_targets``, ``test_log_probabilities``
    and ``test_attention`` contain the results on the test set in the same order,
    and ``tested_checkpoint`` the checkpoint. ``test_attention`` is empty for
    models without attention over words. ``test_heads`` contains the predicted classes
    of each classifier. ``test_dimensions`` contains predictions and
    labels of emotional dimensions, or is None.
    """

    unfinished = None  # state of an epoch that was interrupted
    speakers = None  # by ID, if the normalization adapts to them

    def init_optimizers(self) -> None:
        """Create the optimizer, and a second one for the fine-tuned part, if any.

        The hparams key ``fine_tuned`` names that part, a module, and
        ``fine_tuned_opt_class`` its optimizer.
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

    def compute_forward(self, batch: Batch, stage: sb.Stage) -> EmotionOutput:
        """Apply the model to a batch."""
        return self._decide(batch.to(self.device))

    def _decide(
        self, batch: Batch, tested: EvaluatedSpeakers | None = None
    ) -> EmotionOutput:
        """Apply the model to a batch on its device, adapted to its speakers or not."""
        audio = tested.adapt(batch.ids, batch.audio) if tested else batch.audio
        frames = self.modules.normalize(audio.frames)
        return self.modules.model(batch.words, audio._replace(frames=frames))

    def fit_batch(self, batch: Batch) -> torch.Tensor:
        """Train on a batch like SpeechBrain's Brain, without waiting for a GPU.

        Returns the last loss that is known; on a GPU it is up to
        ``CHECKED_STEPS`` steps old.
        """
        should_step = self.step % self.grad_accumulation_factor == 0
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step):
            with self.training_ctx:
                outputs = self.compute_forward(batch, sb.Stage.TRAIN)
                loss = self.compute_objectives(outputs, batch, sb.Stage.TRAIN)
            scaled = self.scaler.scale(loss / self.grad_accumulation_factor)
            scaled.backward()
        if should_step:
            self.optimizers_step()
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        return self.stats.last_loss

    @torch.no_grad()
    def evaluate_batch(self, batch: Batch, stage: sb.Stage) -> torch.Tensor:
        """Evaluate a batch like SpeechBrain's Brain, without waiting for a GPU."""
        with self.evaluation_ctx:
            outputs = self.compute_forward(batch, stage)
            self.compute_objectives(outputs, batch, stage)
        return self.stats.last_loss

    def _save_intra_epoch_ckpt(self):
        """Save a checkpoint of finite parameters only."""
        self.stats.check_losses()
        super()._save_intra_epoch_ckpt()

    def compute_objectives(
        self, predictions: EmotionOutput, batch: Batch, stage: sb.Stage
    ) -> torch.Tensor:
        """Return the total loss of a batch (eq. 14) and accumulate statistics."""
        targets = batch.targets.to(self.device, non_blocking=True)
        loss = cross_entropies
        if stage == sb.Stage.TRAIN:
            targets = mixed_targets(predictions, targets)
            loss = getattr(self.hparams, "loss", None) or cross_entropies
        losses = loss(predictions, targets)
        total = total_loss(losses, predictions.weights)
        if isinstance(predictions, DimensionOutput):
            regression = self._dimension_loss(predictions, batch)
            losses["dimensions"] = regression.expand(len(total))
            total = predictions.emotion_weight * total + regression
        self.stats.watch(total, batch.ids)
        if stage == sb.Stage.TRAIN and isinstance(
            self.train_sampler, SharedBatches
        ):
            own, everyone = self.train_sampler.counts(self.step - 1)
            if not own:  # this process has no share of the batch
                self.stats.add_losses({"loss": total, **losses}, count=0)
                return 0 * total.sum()
            # DDP averages gradients over processes.
            share = self.train_sampler.processes / everyone
        else:
            share = 1 / len(total)
        self.stats.add_losses({"loss": total, **losses}, count=len(total))
        if stage != sb.Stage.TRAIN:
            self._add_decisions(batch.ids, targets, predictions, batch)
        if stage == sb.Stage.TEST:
            self.stats.add_heads(predictions.logits)
        if stage == sb.Stage.TEST and predictions.attention is not None:
            word_counts = count_words(batch.words)
            self.stats.attention.extend(
                word_attention(predictions.attention, word_counts)
            )
        return share * total.sum()

    def _add_decisions(self, ids, targets, output, batch):
        """Add the decisions of a batch, and its dimensions if there are any."""
        self.stats.add_decisions(ids, targets, decide(output))
        if isinstance(output, DimensionOutput):
            self.stats.add_dimensions(
                decide_dimensions(output), batch.dimensions
            )

    def _dimension_loss(
        self, output: DimensionOutput, batch: Batch
    ) -> torch.Tensor:
        """Return the loss of the dimensions of a batch, a scalar."""
        labels = batch.dimensions.to(self.device, non_blocking=True)
        losses = self.hparams.dimension_loss(
            output.values, standardized(output, labels)
        )
        return total_loss(losses, output.value_weights)

    def _train_loader_specifics(self, dataset, loader_kwargs):
        """Give each process its share of the batches of a single process."""
        if not self.distributed_launch:
            return super()._train_loader_specifics(dataset, loader_kwargs)
        sampler = loader_kwargs.pop("sampler", None)
        if sampler is None:
            # the sampler that SpeechBrain uses for one process
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

    @mark_as_saver
    def _save(self, path):
        """Save the state of SpeechBrain's Brain, and that of an unfinished epoch."""
        super()._save(path)
        if self.step:
            state = {"random": random_state(), "losses": self.stats.losses()}
            with open(path, "a", encoding="utf-8") as stream:
                yaml.safe_dump(state, stream, sort_keys=False)

    @mark_as_loader
    def _recover(self, path, end_of_epoch):
        """Load the state; that of an unfinished epoch is restored when it resumes."""
        super()._recover(path, end_of_epoch)
        with open(path, encoding="utf-8") as stream:
            state = yaml.safe_load(stream)
        self.unfinished = None if end_of_epoch else state

    def _resume_epoch(self):
        """Restore random numbers and losses, which ``on_stage_start`` has reset."""
        state, self.unfinished = self.unfinished, None
        if state and "random" in state:
            restore_random_state(state["random"])
            self.stats.restore_losses(state["losses"])

    def on_fit_batch_start(self, batch, should_step):
        """Resume an unfinished epoch before its next batch."""
        self._resume_epoch()

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        """Update the learning rate, except that of the fine-tuned part."""
        scheduler = getattr(self.hparams, "lr_annealing", None)
        if should_step and scheduler:
            scheduler(self.optimizers_dict["opt_class"])

    def on_fit_start(self):
        """Start training, and restore the training time before a resume."""
        keep_freed_memory()
        super().on_fit_start()
        _, seconds_before = training_effort(self.checkpointer)
        self.started = time.perf_counter() - seconds_before

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Load the checkpoint with the best validation score."""
        self.tested_checkpoint = recover_tested(self.checkpointer)

    @torch.no_grad()
    def predict(
        self,
        dataset: DynamicItemDataset,
        loader_kwargs: dict,
        adapted: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict a dataset without computing statistics or logging.

        With ``adapted``, each recording is adapted to the other recordings of its
        speaker in the dataset. Returns log-probabilities ``[utterances, classes]``
        and class indices ``[utterances]``.
        """
        self.modules.eval()
        loader = self.make_dataloader(
            dataset, stage=sb.Stage.TEST, **loader_kwargs
        )
        batches = self._adapted(loader) if adapted else self._outputs(loader)
        decisions, targets = [], []
        for batch, output in batches:
            decisions.append(decide(output).float().cpu())
            targets.append(batch.targets.cpu())
        return torch.cat(decisions), torch.cat(targets)

    def _outputs(
        self, loader: Iterable[Batch], tested: EvaluatedSpeakers | None = None
    ) -> Iterator[tuple[Batch, EmotionOutput]]:
        """Yield the batches of a loader with the outputs of the model."""
        for batch in loader:
            batch = batch.to(self.device)
            yield batch, self._decide(batch, tested)

    @torch.no_grad()
    def _adapted(
        self, loader: Iterable[Batch]
    ) -> Iterator[tuple[Batch, EmotionOutput]]:
        """Yield batches with outputs, adapted to the speakers of the whole loader."""
        tested = EvaluatedSpeakers(self.modules.normalize, self.speakers)
        for batch, output in self._outputs(loader):
            tested.add(batch.ids, batch.audio, decide(output).float().exp())
        yield from self._outputs(loader, tested)

    def _fit_valid(self, valid_set, epoch, enable):
        """Validate; the end of the stage adapts to the speakers of the set."""
        self.valid_loader = valid_set
        super()._fit_valid(valid_set, epoch, enable)

    def on_stage_start(self, stage, epoch=None):
        """Reset the statistics and seed the random numbers of an epoch."""
        epoch_counter = self.hparams.epoch_counter
        self.stats = StageStatistics(
            f"{stage.name.lower()}, epoch {epoch_counter.current}",
            1 if self.device_type == "cpu" else CHECKED_STEPS,
        )
        if stage == sb.Stage.TRAIN:
            # Seed per epoch, so that a resumed run uses the same dropout masks
            # as an uninterrupted one, and per process.
            rank = sb.utils.distributed.get_rank() or 0
            seed = self.hparams.seed + epoch + 1_000_003 * rank
            torch.manual_seed(seed)
            random.seed(seed)  # used by SpeechBrain's Augmenter

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Compute the metrics, save a checkpoint, and log."""
        training = stage == sb.Stage.TRAIN
        self.stats.check_losses()
        if training:
            self._resume_epoch()  # if it was interrupted after its last batch
        stats = self.stats.mean_losses(training and self.distributed_launch)
        if training:
            self.train_stats = stats
            return
        if stage == sb.Stage.VALID and self.speakers:
            # Both regimes count: a single recording, and all of a speaker.
            for batch, output in self._adapted(self.valid_loader):
                self._add_decisions(batch.ids, batch.targets, output, batch)
        scores = self.stats.scores()
        stats.update(scores)
        if stage == sb.Stage.VALID:
            error = 1 - stats[self.hparams.stop_on]
            # Update the counter first, because the checkpoint saves it.
            self.hparams.epoch_counter.update_metric(error)
            seconds = time.perf_counter() - self.started
            save_epoch(self.checkpointer, epoch, error, seconds, scores)
            # Log last, so that a repeated epoch is not logged twice.
            self._log({"epoch": epoch}, self.train_stats, valid_stats=stats)
        else:
            self.test_ids = self.stats.ids
            self.test_targets = self.stats.targets
            self.test_log_probabilities = self.stats.log_probabilities
            self.test_attention = self.stats.attention
            self.test_dimensions = self.stats.dimensions
            self.test_heads = self.stats.heads
            epoch = self.hparams.epoch_counter.current
            self._log({"epoch loaded": epoch}, test_stats=stats)

    def _log(self, meta, train_stats=None, valid_stats=None, test_stats=None):
        loggers = [self.hparams.train_logger]
        if hasattr(self.hparams, "tensorboard_train_logger"):
            loggers.append(self.hparams.tensorboard_train_logger)
        for logger in (*loggers, *getattr(self.hparams, "built_loggers", ())):
            logger.log_stats(meta, train_stats, valid_stats, test_stats)
