#!/usr/bin/env python3
"""Recipe for speech emotion recognition from audio and text aligned word by
word, on IEMOCAP: the Cross Attention Network (https://arxiv.org/abs/2207.12895).

To run this recipe, do the following:

> python train.py hparams/can.yaml --data_folder=/path/to/IEMOCAP_full_release

A run trains one fold; the README contains a loop over all folds.

Authors
 * The speechbrain-can developers 2026
"""

import csv
import os
import sys

import torch
from hyperpyyaml import load_hyperpyyaml
from iemocap_multimodal_prepare import (
    Word,
    class_names,
    prepare_iemocap_multimodal,
)

import speechbrain as sb
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.metric_stats import ClassificationStats, MetricStats
from speechbrain_can.lobes.losses import cross_entropies, decide, total_loss
from speechbrain_can.lobes.ragged import WordFrames, real_steps


class EmotionBrain(sb.Brain):
    """Class that manages the training loop with weighted cross entropies (eqs 13-15)."""

    def compute_forward(self, batch, stage):
        """Compute logits and attention from words and frames."""
        batch = batch.to(self.device)
        audio = flatten_audio(batch)
        # The statistics are only updated in epoch 0; see fit_normalization.
        frames = self.modules.normalize(
            audio.frames[None], epoch=self.hparams.epoch_counter.current
        )
        return self.modules.model(
            batch.word_list, audio._replace(frames=frames[0])
        )

    def compute_objectives(self, predictions, batch, stage):
        """Compute the loss (eq. 14) and store the decisions (eq. 15)."""
        targets = batch.emotion_encoded.data.squeeze(1)
        losses = cross_entropies(predictions, targets)
        for name, loss in losses.items():
            self.loss_metrics.setdefault(
                name, MetricStats(metric=lambda loss: loss)
            ).append(batch.id, loss.detach())
        if stage != sb.Stage.TRAIN:
            log_probabilities = decide(predictions)
            self.classification.append(
                batch.id,
                [self.emotions[i] for i in log_probabilities.argmax(1)],
                [self.emotions[i] for i in targets],
            )
            self.probabilities.update(
                zip(batch.id, log_probabilities.exp().tolist())
            )
        return total_loss(losses, predictions.weights).mean()

    def fit_normalization(self, train_set):
        """Compute the statistics of all training frames before the first epoch."""
        loader = self.make_dataloader(
            train_set,
            sb.Stage.TRAIN,
            ckpt_prefix=None,
            **self.hparams.dataloader_options,
        )
        for batch in loader:
            audio = flatten_audio(batch.to(self.device))
            self.modules.normalize(audio.frames[None], epoch=0)

    def on_stage_start(self, stage, epoch=None):
        """Gets called at the beginning of each stage."""
        self.loss_metrics = {}
        self.classification = ClassificationStats()
        self.probabilities = {}
        if stage == sb.Stage.TRAIN:
            # Resumed runs use the same dropout masks as uninterrupted ones.
            torch.manual_seed(self.hparams.seed + epoch)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Gets called at the end of each stage."""
        stats = {"loss": stage_loss}
        for name, metric in self.loss_metrics.items():
            stats[f"{name} loss"] = metric.summarize("average")
        if stage == sb.Stage.TRAIN:
            self.train_stats = stats
            return
        stats.update(accuracies(self.classification))
        if stage == sb.Stage.VALID:
            error = 1 - stats["WA"]
            self.hparams.epoch_counter.update_metric(error)
            self.hparams.train_logger.log_stats(
                {"epoch": epoch}, self.train_stats, valid_stats=stats
            )
            self.checkpointer.save_and_keep_only(
                meta={"error": error, "epoch": epoch},
                importance_keys=[first_of_the_best],
            )
        else:
            self.hparams.train_logger.log_stats(
                {"epoch loaded": self.hparams.epoch_counter.current},
                test_stats=stats,
            )
            run_on_main(self.write_predictions)

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Load the checkpoint with the best validation score."""
        self.checkpointer.recover_if_possible(importance_key=first_of_the_best)

    def write_predictions(self):
        """Write decision and probabilities of each test utterance."""
        path = self.hparams.predictions_file
        with open(path, "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["ID", "true", "predicted", *self.emotions])
            for utterance_id, true, predicted in zip(
                self.classification.ids,
                self.classification.targets,
                self.classification.predictions,
            ):
                probabilities = self.probabilities[utterance_id]
                rounded = [f"{p:.6f}" for p in probabilities]
                writer.writerow([utterance_id, true, predicted, *rounded])


def flatten_audio(batch):
    """Return the frames of a padded batch without padding."""
    frames, _ = batch.frames
    counts, _ = batch.frame_counts  # every word has frames, so 0 is padding
    counts = counts.cpu()
    return WordFrames(
        frames=frames[real_steps(counts.sum(dim=1), frames.device)],
        frame_counts=counts[counts > 0],
        word_counts=(counts > 0).sum(dim=1),
    )


def accuracies(classification):
    """Return weighted (plain) accuracy and unweighted average recall."""
    stats = classification.summarize()
    by_class = list(stats["classwise_accuracy"].values())
    return {"WA": stats["accuracy"], "UA": sum(by_class) / len(by_class)}


def first_of_the_best(checkpoint):
    """Rank checkpoints by error; the earliest of equal ones is the best."""
    # Checkpoints within an epoch have no error yet.
    error = checkpoint.meta.get("error", float("inf"))
    return -error, -checkpoint.meta.get("epoch", 0)


def dataio_prep(hparams):
    """Prepare the datasets of one fold.

    Arguments
    ---------
    hparams : dict
        The content of the YAML file.

    Returns
    -------
    datasets : dict
        DynamicItemDataset objects for "train", "valid" and "test".
    """
    label_encoder = sb.dataio.encoder.CategoricalEncoder()
    label_encoder.expect_len(hparams["classes"])
    label_encoder.load_or_create(
        path=os.path.join(hparams["save_folder"], "label_encoder.txt"),
        from_iterables=[class_names(hparams["classes"])],
    )

    @sb.utils.data_pipeline.takes("wav", "words", "starts", "ends")
    @sb.utils.data_pipeline.provides("word_list", "frames", "frame_counts")
    def word_pipeline(wav, words, starts, ends):
        """Split an utterance into words and compute the frames of each word."""
        word_list = words.split()
        times = (map(float, starts.split()), map(float, ends.split()))
        segments = hparams["segment"]([*map(Word, word_list, *times)])
        yield word_list
        frames, frame_counts = hparams["compute_features"](
            sb.dataio.dataio.read_audio(wav), torch.from_numpy(segments)
        )
        yield frames
        yield frame_counts

    @sb.utils.data_pipeline.takes("emotion")
    @sb.utils.data_pipeline.provides("emotion_encoded")
    def label_pipeline(emotion):
        """Encode the emotion as a class index."""
        return label_encoder.encode_label_torch(emotion)

    datasets = {}
    for part in ("train", "valid", "test"):
        datasets[part] = sb.dataio.dataset.DynamicItemDataset.from_json(
            json_path=hparams[f"{part}_annotation"],
            replacements={"data_root": hparams["data_folder"]},
            dynamic_items=[word_pipeline, label_pipeline],
            output_keys=[
                "id",
                "word_list",
                "frames",
                "frame_counts",
                "emotion_encoded",
            ],
        )
    return datasets


def fit_vocabulary(model, datasets):
    """Build the vocabulary from the training set only."""
    words = {
        part: [
            word
            for utterance in dataset.data.values()
            for word in utterance["words"].split()
        ]
        for part, dataset in datasets.items()
    }
    model.fit_vocabulary(words["train"], words["valid"] + words["test"])


if __name__ == "__main__":
    # Reading command line arguments.
    hparams_file, run_opts, overrides = sb.parse_arguments(sys.argv[1:])

    # Initialize ddp (useful only for multi-GPU DDP training).
    sb.utils.distributed.ddp_init_group(run_opts)

    # Load hyperparameters file with command-line overrides.
    with open(hparams_file, encoding="utf-8") as fin:
        hparams = load_hyperpyyaml(fin, overrides)

    # Create experiment directory
    sb.create_experiment_directory(
        experiment_directory=hparams["output_folder"],
        hyperparams_to_save=hparams_file,
        overrides=overrides,
    )

    # Data preparation, to be run on only one process.
    if not hparams["skip_prep"]:
        run_on_main(
            prepare_iemocap_multimodal,
            kwargs={
                "data_folder": hparams["data_folder"],
                "train_annotation": hparams["train_annotation"],
                "valid_annotation": hparams["valid_annotation"],
                "test_annotation": hparams["test_annotation"],
                "classes": hparams["classes"],
                "protocol": hparams["protocol"],
                "fold": hparams["fold"],
                "fold_seed": hparams["fold_seed"],
            },
        )
    datasets = dataio_prep(hparams)

    # In resumed runs, the checkpoint replaces vocabulary and statistics.
    fit_vocabulary(hparams["model"], datasets)

    brain = EmotionBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.emotions = class_names(hparams["classes"])
    brain.fit_normalization(datasets["train"])
    brain.fit(
        epoch_counter=brain.hparams.epoch_counter,
        train_set=datasets["train"],
        valid_set=datasets["valid"],
        train_loader_kwargs={**hparams["dataloader_options"], "shuffle": True},
        valid_loader_kwargs=hparams["dataloader_options"],
    )
    brain.evaluate(
        test_set=datasets["test"],
        test_loader_kwargs=hparams["dataloader_options"],
    )
