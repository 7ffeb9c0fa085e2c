"""A fold with its objects: features, datasets and Brain."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Callable

import numpy as np
import torch

import speechbrain as sb
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.corpus.dimensions import check_labels, read_dimensions
from speechbrain_can.corpus.fold_lists import split_fold
from speechbrain_can.corpus.prepared import Corpus
from speechbrain_can.features.augmentation import (
    AugmentedCopy,
    AugmentedFeatures,
)
from speechbrain_can.features.cache import FeatureCache
from speechbrain_can.lobes.dimensions import DimensionClassifier, DimensionLoss
from speechbrain_can.lobes.mixup import Mixup
from speechbrain_can.runs.layout import FoldLayout
from speechbrain_can.settings.hparams import Settings, SettingsError
from speechbrain_can.training.adaptation import DrawnOffsets, speakers_of
from speechbrain_can.training.brain import EmotionBrain
from speechbrain_can.training.data import (
    flat_batch,
    group_statistics,
    make_datasets,
)

logger = sb.utils.logger.get_logger(__name__)

# Processes that collate batches ahead of a GPU, unless num_workers is set
GPU_WORKERS = 4

# Recordings whose means are in memory at the same time
MEANS_AT_ONCE = 1024

# Hparams keys of augmentation
AUGMENTERS = ("augment_waveform", "augment_frames")


@dataclass(frozen=True)
class Fold:
    """A fold of a corpus with the settings to train it.

    Arguments
    ---------
    settings : Settings
        Settings whose ``fold`` is this one.
    corpus : Corpus
        The corpus.
    parts : dict of str: list of str
        IDs of the utterances of each set; only ``train`` is required.
    """

    settings: Settings
    corpus: Corpus
    parts: dict[str, list[str]]

    @classmethod
    def of(cls, settings: Settings, corpus: Corpus, number: int) -> "Fold":
        """Return a fold of the corpus by its number."""
        parts = split_fold(corpus.folds, number)
        return cls(settings.of_fold(number), corpus, parts)

    @cached_property
    def hparams(self) -> dict[str, Any]:
        """The objects of the fold, built from the settings."""
        return self.settings.build()

    @property
    def layout(self) -> FoldLayout:
        """Paths of the fold."""
        return FoldLayout(Path(self.hparams["fold_folder"]))


def set_up(
    fold: Fold, run_opts: RunOptions
) -> tuple[EmotionBrain, dict[str, DynamicItemDataset], dict[str, dict]]:
    """Create the Brain and the datasets of a fold.

    Also returns the arguments of data loaders for ``train`` and ``test``.
    """
    hparams, corpus = fold.hparams, fold.corpus
    store = open_features(hparams, corpus, hparams.get("conditioning"))
    statistics = fit_statistics(fold, store)
    fit_classes(fold)
    dimensions = fit_dimensions(fold)
    datasets = make_datasets(
        corpus.utterances,
        fold.parts,
        store,
        label_encoder_of(corpus),
        augmented=augmentation(fold, store),
        soft_labels=hparams.get("soft_labels", False),
        statistics=statistics,
        dimensions=dimensions,
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
    hparams["built_loggers"] = [
        build() for build in hparams.get("loggers") or ()
    ]
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
    if hparams["modules"]["normalize"].adapts:
        brain.speakers = speakers_of(corpus.utterances)
    on_gpu = brain.device_type == "cuda"
    options["pin_memory"] = on_gpu
    if options["num_workers"] is None:
        options["num_workers"] = GPU_WORKERS if on_gpu else 0
    return brain, datasets, {"train": {**options, **order}, "test": options}


def open_features(
    hparams: dict, corpus: Corpus, conditioning: Callable | None
) -> FeatureCache:
    """Open the features of a corpus; the main process computes missing ones.

    See ``extract_features`` for ``conditioning``.
    """
    settings = {
        "folder": hparams["features_folder"],
        "utterances": corpus.utterances,
        "data_folder": corpus.data_folder,
        "compute_features": hparams["compute_features"],
        "segment": hparams["segment"],
        "num_workers": hparams["feature_workers"],
        "conditioning": conditioning,
    }
    run_on_main(_build_store, kwargs=settings)
    return FeatureCache.build(**settings)


def _build_store(**settings: Any) -> None:
    """Build the feature cache; ``run_on_main`` would send a result to all processes."""
    FeatureCache.build(**settings)


def fit_statistics(fold: Fold, store: FeatureCache) -> dict | None:
    """Fit normalization and vocabulary, which use only the training set.

    Returns the statistics of each group for ``normalize_by``, which uses all
    recordings of a group but no labels.
    """
    hparams, corpus, parts = fold.hparams, fold.corpus, fold.parts
    normalize, statistics = hparams["modules"]["normalize"], None
    if hparams.get("normalize_by"):
        if normalize.adapts:
            raise SettingsError(
                "normalize_by and SpeakerAdaptation exclude each other. Pass "
                "--normalize_by=null."
            )
        statistics = group_statistics(
            corpus.utterances, store, hparams["normalize_by"]
        )
    else:
        normalize.set_statistics(*store.statistics(parts["train"]))
    if normalize.adapts:
        targets = targets_of(fold)
        normalize.fit_classes(
            (
                store.means(names),
                torch.tensor([targets[name] for name in names]),
            )
            for names in (
                parts["train"][i : i + MEANS_AT_ONCE]
                for i in range(0, len(targets), MEANS_AT_ONCE)
            )
        )
    others = [name for part in parts if part != "train" for name in parts[part]]
    hparams["modules"]["model"].fit_vocabulary(
        corpus.words_of(parts["train"]), corpus.words_of(others)
    )
    return statistics


def targets_of(fold: Fold) -> dict[str, int]:
    """Return the class indices of the training set by ID."""
    corpus = fold.corpus
    return {
        name: corpus.classes.index(corpus.utterances[name].emotion)
        for name in fold.parts["train"]
    }


def fit_classes(fold: Fold) -> None:
    """Pass the class counts of the training set to the loss; check soft labels."""
    hparams, corpus = fold.hparams, fold.corpus
    if hparams.get("loss"):
        emotions = [
            corpus.utterances[name].emotion for name in fold.parts["train"]
        ]
        hparams["loss"].fit_classes(
            torch.tensor([emotions.count(name) for name in corpus.classes])
        )
    voted = any(u.votes for u in corpus.utterances.values())
    if hparams.get("soft_labels") and not voted:
        logger.warning(
            f"soft_labels has no effect: {corpus.name} contains no votes"
        )


def fit_dimensions(fold: Fold) -> dict[str, torch.Tensor] | None:
    """Return the labels of emotional dimensions by ID, or None without dimensions.

    Fits the mean and standard deviation of the training labels. Raises
    ``SettingsError`` if the model has no or other dimensions, and ``CorpusError`` for
    invalid labels.
    """
    hparams, utterances = fold.hparams, fold.corpus.utterances
    columns = hparams.get("dimensions")
    regressions = [
        part
        for part in hparams["modules"]["model"].modules()
        if isinstance(part, DimensionClassifier)
    ]
    expected = {len(part.mean) for part in regressions}
    if expected != ({len(columns)} if columns else set()):
        raise SettingsError(
            f"dimensions is {columns!r}, but the model predicts "
            f"{', '.join(map(str, expected)) or 'no'} dimensions. Use "
            "can_dimensions.yaml, and set n_dimensions of DimensionClassifier."
        )
    if not columns:
        return None
    if any(isinstance(p, Mixup) for p in hparams["modules"]["model"].modules()):
        raise SettingsError(
            "DimensionClassifier and Mixup exclude each other. Remove Mixup."
        )
    hparams.setdefault("dimension_loss", DimensionLoss())
    used = {n: utterances[n] for part in fold.parts.values() for n in part}
    labels = read_dimensions(used, columns, hparams.get("dimension_range"))
    train = np.stack([labels[name] for name in fold.parts["train"]])
    check_labels(train, columns, "training")
    if "valid" in fold.parts:
        valid = np.stack([labels[name] for name in fold.parts["valid"]])
        check_labels(valid, columns, "validation")
    for part in regressions:
        part.fit_dimensions(torch.from_numpy(train))
    return {name: torch.from_numpy(row) for name, row in labels.items()}


def label_encoder_of(corpus: Corpus) -> sb.dataio.encoder.CategoricalEncoder:
    """Return the encoder of the classes of a corpus."""
    label_encoder = sb.dataio.encoder.CategoricalEncoder()
    label_encoder.update_from_iterable(corpus.classes)
    label_encoder.expect_len(len(corpus.classes))
    return label_encoder


def augmentation(fold: Fold, store: FeatureCache) -> Callable | None:
    """Return what changes the features of the training set in each epoch, or None."""
    hparams, corpus = fold.hparams, fold.corpus
    augmenters = {
        name: hparams[name] for name in AUGMENTERS if hparams.get(name)
    }
    normalize = hparams["modules"]["normalize"]
    if not (augmenters or normalize.adapts):
        return None
    copies, offsets = open_copies(fold), None
    if normalize.adapts:
        train = {name: corpus.utterances[name] for name in fold.parts["train"]}
        offsets = DrawnOffsets(
            normalize, speakers_of(train), targets_of(fold), [store, *copies]
        )
    return AugmentedFeatures(
        store,
        corpus.data_folder,
        hparams["compute_features"],
        hparams["segment"],
        seed=hparams["seed"],
        epoch_counter=hparams["epoch_counter"],
        conditioning=hparams.get("conditioning"),
        copies=copies,
        offsets=offsets,
        **augmenters,
    )


def open_copies(fold: Fold) -> list[FeatureCache]:
    """Open the caches of augmented copies; the main process computes missing ones."""
    hparams, number = fold.hparams, fold.hparams.get("augmented_copies", 0)
    if not (number and hparams.get("augment_waveform")):
        return []
    settings = fold.settings.text_of("augment_waveform")
    return [
        open_features(
            hparams,
            fold.corpus,
            AugmentedCopy(
                hparams["augment_waveform"],
                settings,
                copy,
                hparams.get("conditioning"),
            ),
        )
        for copy in range(number)
    ]
