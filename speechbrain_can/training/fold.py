"""Training and testing of one fold."""

from pathlib import Path
from typing import Any, Sequence

import torch

import speechbrain as sb
from speechbrain.utils.distributed import if_main_process, run_on_main
from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.corpus.fold_lists import PARTS, split_fold
from speechbrain_can.corpus.manifest import resolve_wav
from speechbrain_can.corpus.preparation import Corpus
from speechbrain_can.features.augmentation import AugmentedFeatures
from speechbrain_can.features.cache import FeatureStore
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.io.files import write_json
from speechbrain_can.metrics.calibration import calibration, fit_temperature
from speechbrain_can.metrics.metrics import METRICS, evaluate, recalls
from speechbrain_can.model_folder.write import (
    MODEL,
    write_card,
    write_model_folder,
)
from speechbrain_can.runs.layout import (
    ATTENTION_TABLE,
    FOLD_RESULT,
    PREDICTIONS,
    PROVENANCE,
    VALID_PREDICTIONS,
)
from speechbrain_can.runs.predictions import write_attention, write_predictions
from speechbrain_can.runs.results import write_result
from speechbrain_can.settings.hparams import Settings, write_settings
from speechbrain_can.training.brain import EmotionBrain
from speechbrain_can.training.checkpoints import training_effort
from speechbrain_can.training.data import (
    flat_batch,
    group_statistics,
    make_datasets,
)
from speechbrain_can.training.environment import (
    command_line,
    describe_environment,
)

logger = sb.utils.logger.get_logger(__name__)
ATTENTION_PICTURE = "attention.png"

# Hparams keys of augmentation
AUGMENTERS = ("augment_waveform", "augment_frames")


def train_fold(
    settings: Settings, run_opts: RunOptions, corpus: Corpus, fold: int
) -> None:
    """Train a fold, test its best checkpoint and write the results."""
    hparams = settings.build()
    parts = split_fold(corpus.folds, fold)
    logger.info(", ".join(f"{len(parts[part])} {part}" for part in PARTS))
    brain, datasets, loading = set_up(hparams, run_opts, corpus, parts)
    if if_main_process():
        write_settings(hparams["fold_folder"], settings)
    # Checkpoints contain the complete state: an interrupted run resumes from
    # its last epoch.
    brain.fit(
        epoch_counter=hparams["epoch_counter"],
        train_set=datasets["train"],
        valid_set=datasets["valid"],
        train_loader_kwargs=loading["train"],
        valid_loader_kwargs=loading["test"],
    )
    brain.evaluate(
        test_set=datasets["test"], test_loader_kwargs=loading["test"]
    )
    if brain.debug:
        logger.info("Debugging: the fold's result is not recorded")
        return
    valid = brain.predict(datasets["valid"], loading["test"])
    run_on_main(
        record_fold, args=[brain, hparams, settings, corpus, fold, parts, valid]
    )


def set_up(
    hparams: dict,
    run_opts: RunOptions,
    corpus: Corpus,
    parts: dict[str, list[str]],
) -> tuple[EmotionBrain, dict, dict]:
    """Create the Brain and the datasets of a fold.

    Arguments
    ---------
    hparams : dict
        The objects of a fold.
    run_opts : RunOptions
        SpeechBrain's run options.
    corpus : Corpus
        The corpus.
    parts : dict of str: list of str
        IDs of ``train`` and of any other sets.

    Returns
    -------
    brain : EmotionBrain
        Ready to fit.
    datasets : dict of str: DynamicItemDataset
        Datasets by part.
    loading : dict of str: dict
        Arguments of data loaders for ``train`` and ``test``.
    """
    # Features are computed once per corpus and only opened afterwards.
    feature_settings = {
        "folder": hparams["features_folder"],
        "utterances": corpus.utterances,
        "data_folder": corpus.data_folder,
        "compute_features": hparams["compute_features"],
        "segment": hparams["segment"],
        "num_workers": hparams["feature_workers"],
    }
    run_on_main(_build_store, kwargs=feature_settings)
    store = FeatureStore.build(**feature_settings)

    # Statistics and vocabularies use only the training set. Group
    # normalization uses all recordings of each group, but no labels.
    statistics = None
    if hparams.get("normalize_by"):
        statistics = group_statistics(
            corpus.utterances, store, hparams["normalize_by"]
        )
    else:
        mean, std = store.statistics(parts["train"])
        hparams["modules"]["normalize"].set_statistics(mean, std)
    others = [name for part in parts if part != "train" for name in parts[part]]
    hparams["modules"]["model"].fit_vocabulary(
        corpus.words_of(parts["train"]), corpus.words_of(others)
    )
    if hparams.get("loss"):
        emotions = [corpus.utterances[name].emotion for name in parts["train"]]
        hparams["loss"].fit_classes(
            torch.tensor([emotions.count(name) for name in corpus.classes])
        )

    soft_labels = hparams.get("soft_labels", False)
    if soft_labels and not any(u.votes for u in corpus.utterances.values()):
        logger.warning(
            f"soft_labels has no effect: {corpus.name} contains no votes"
        )

    label_encoder = sb.dataio.encoder.CategoricalEncoder()
    label_encoder.update_from_iterable(corpus.classes)
    label_encoder.expect_len(len(corpus.classes))
    augmenters = {
        name: hparams[name] for name in AUGMENTERS if hparams.get(name)
    }
    augmented = None
    if augmenters:
        augmented = AugmentedFeatures(
            store,
            corpus.data_folder,
            hparams["compute_features"],
            hparams["segment"],
            seed=hparams["seed"],
            epoch_counter=hparams["epoch_counter"],
            **augmenters,
        )
    datasets = make_datasets(
        corpus.utterances,
        parts,
        store,
        label_encoder,
        augmented=augmented,
        soft_labels=soft_labels,
        statistics=statistics,
    )
    order = {"shuffle": True}
    if hparams.get("sampler"):
        order = {"sampler": hparams["sampler"](datasets["train"])}
    options = {
        "batch_size": hparams["batch_size"],
        "num_workers": hparams["num_workers"],
        "collate_fn": flat_batch,
    }

    if hparams["use_tensorboard"]:
        from speechbrain.utils.train_logger import TensorboardLogger

        hparams["tensorboard_train_logger"] = TensorboardLogger(
            hparams["tensorboard_logs"]
        )
    brain = EmotionBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    # SpeechBrain passes the epoch only to samplers that it creates itself;
    # others would draw the same utterances in every epoch.
    brain.train_sampler = order.get("sampler")
    return brain, datasets, {"train": {**options, **order}, "test": options}


def _build_store(**settings: Any) -> None:
    """Build the feature cache; ``run_on_main`` would send a result to all processes."""
    FeatureStore.build(**settings)


def record_fold(
    brain: EmotionBrain,
    hparams: dict,
    settings: Settings,
    corpus: Corpus,
    fold: int,
    parts: dict[str, list[str]],
    valid: tuple[torch.Tensor, torch.Tensor],
) -> None:
    """Write predictions, attention, model folder, result and figure of a fold.

    ``valid`` contains log-probabilities and targets of the validation set.
    """
    folder = Path(hparams["fold_folder"])
    scores = brain.tested_checkpoint.meta.get("scores", {})
    temperature = fit_temperature(*valid)
    log_probabilities = brain.test_log_probabilities
    _write_decisions(
        folder / VALID_PREDICTIONS, parts["valid"], *valid, corpus.classes
    )
    true, predicted = _write_decisions(
        folder / PREDICTIONS,
        brain.test_ids,
        log_probabilities,
        brain.test_targets,
        corpus.classes,
    )
    if brain.test_attention:
        write_attention(
            folder / ATTENTION_TABLE, brain.test_ids, brain.test_attention
        )
    epochs, seconds = training_effort(brain.checkpointer)
    result = {
        "fold": fold,
        **evaluate(true, predicted),
        "recall": recalls(true, predicted),
        **calibration(log_probabilities, brain.test_targets, temperature),
        "n_test": len(true),
        "n_train": len(parts["train"]),
        "manifest": corpus.digest,
        "epochs": epochs,
        "tested_epoch": brain.tested_checkpoint.meta["epoch"],
        # in the order of METRICS
        "valid": {name: scores[name] for name in METRICS if name in scores},
    }
    write_json(
        folder / PROVENANCE,
        {
            "seconds": round(seconds, 1),
            "command": command_line(),
            "environment": describe_environment(brain.device),
        },
    )
    write_model_folder(
        folder / MODEL,
        settings,
        corpus.classes,
        temperature,
        write_card(settings, corpus, temperature, result),
        hparams["modules"],
    )
    if hparams["draw_attention"] and brain.test_attention:
        draw_attention(brain, hparams, corpus)
    # This file marks the fold as finished.
    write_result(folder / FOLD_RESULT, result)


def _write_decisions(
    path: Path,
    ids: Sequence[str],
    log_probabilities: torch.Tensor,
    targets: torch.Tensor,
    classes: Sequence[str],
) -> tuple[list[str], list[str]]:
    """Write predictions; return the reference and the predicted labels."""
    true = [classes[i] for i in targets.tolist()]
    predicted = [classes[i] for i in log_probabilities.argmax(1).tolist()]
    probabilities = log_probabilities.exp().numpy()
    write_predictions(path, ids, true, predicted, probabilities, classes)
    return true, predicted


def draw_attention(brain: EmotionBrain, hparams: dict, corpus: Corpus) -> None:
    """Plot the attention of one test utterance to ``attention.png``.

    The utterance is the correct prediction with the highest confidence among
    those with four to twelve words, or among all if there is none.
    """
    try:
        from speechbrain_can.runs.attention_figure import plot_utterance
    except ImportError:
        logger.warning(
            "Skipping the attention figure, because matplotlib is not installed. "
            "Run pip install 'speechbrain_can[plots]'."
        )
        return
    confidence, predicted = brain.test_log_probabilities.max(dim=1)
    readable = [
        4 <= len(corpus.utterances[i].words) <= 12 for i in brain.test_ids
    ]
    correct = (predicted == brain.test_targets).tolist()
    chosen = max(
        range(len(brain.test_ids)),
        key=lambda i: (readable[i] and correct[i], confidence[i].item()),
    )
    utterance = corpus.utterances[brain.test_ids[chosen]]
    sample_rate = hparams["compute_features"].sample_rate
    probabilities = brain.test_log_probabilities[chosen].exp().tolist()
    plot_utterance(
        Path(hparams["fold_folder"]) / ATTENTION_PICTURE,
        utterance,
        read_waveform(resolve_wav(utterance, corpus.data_folder), sample_rate),
        sample_rate,
        brain.test_attention[chosen],
        hparams["segment"](utterance.words),
        dict(zip(corpus.classes, probabilities)),
    )
