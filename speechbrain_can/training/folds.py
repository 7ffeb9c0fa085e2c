"""Runs an experiment: one fold of a protocol, or all of them.

A recipe's ``train.py`` prepares its corpus and hands over to ``run_folds``. Every
fold is trained from a fresh reading of the hparams file, so that a fold gives
the same result alone as among others.

Authors
 * The speechbrain-can developers 2026
"""

from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

import speechbrain as sb
from speechbrain.utils.distributed import if_main_process, run_on_main
from speechbrain.utils.train_logger import TensorboardLogger
from speechbrain_can.audio import read_waveform
from speechbrain_can.corpus.manifest import resolve_wav
from speechbrain_can.corpus.prepare import Corpus
from speechbrain_can.corpus.protocols import (
    count_folds,
    describe_fold,
    split_fold,
)
from speechbrain_can.features.store import FeatureStore
from speechbrain_can.files import write_json
from speechbrain_can.hparams import (
    ALL_FOLDS,
    SETTINGS,
    SettingsError,
    load_hparams,
    requested_fold,
    resolve_hparams,
    write_settings,
)
from speechbrain_can.results.folds import (
    ATTENTION_TABLE,
    FOLD_RESULT,
    fold_result,
    format_table,
    summarise,
    write_attention,
    write_predictions,
)
from speechbrain_can.results.metrics import accuracies
from speechbrain_can.training.brain import EmotionBrain
from speechbrain_can.training.dataio import flat_batch, make_datasets

logger = sb.utils.logger.get_logger(__name__)


ATTENTION_PICTURE = "attention.png"


def run_folds(hparams, hparams_file, run_opts, overrides):
    """Trains and tests the folds that are asked for and not yet finished.

    Arguments
    ---------
    hparams : dict
        The hyper-parameters of any fold; ``prepared_folder`` holds a prepared
        corpus.
    hparams_file : str or Path
        Where they come from: each fold is read anew.
    run_opts : dict
        SpeechBrain's run options.
    overrides : str or dict
        As ``sb.parse_arguments`` gives them.

    Returns
    -------
    dict or None
        The content of ``results.json``; None if no fold is finished, as in a
        debugging run.

    Raises
    ------
    SettingsError
        If another process is training one of them.
    """
    corpus = Corpus.load(hparams["prepared_folder"], hparams["protocol"])
    output_folder = Path(hparams["output_folder"])
    n_folds = count_folds(corpus.folds)
    requested = requested_fold(hparams_file, overrides)
    for fold in range(n_folds) if requested == ALL_FOLDS else [requested]:
        if not fold_result(output_folder, fold).exists():
            logger.info(f"Fold {fold} (folds are 0 to {n_folds - 1})")
            fold_hparams = load_hparams(hparams_file, overrides, fold)
            folder = fold_result(output_folder, fold).parent
            with _alone_in(folder):
                if if_main_process():
                    write_settings(
                        folder / SETTINGS,
                        resolve_hparams(hparams_file, overrides, fold),
                    )
                train_fold(fold_hparams, run_opts, corpus, fold)
    if not (if_main_process() and fold_result(output_folder, fold).exists()):
        return None
    summary = summarise(
        output_folder,
        {
            "model": Path(hparams_file).stem,
            "corpus": corpus.name,
            "protocol": hparams["protocol"],
            "classes": corpus.classes,
        },
    )
    print(format_table(summary))
    picture = fold_result(output_folder, fold).with_name(ATTENTION_PICTURE)
    if picture.exists():
        print(f"The attention of one test utterance: {picture.absolute()}")
    return summary


@contextmanager
def _alone_in(fold_folder):
    """Two runs that save to one folder would spoil each other's checkpoints."""
    if not if_main_process():
        yield
        return
    fold_folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(fold_folder / "train.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise SettingsError(
            f"another process is training in {fold_folder}; wait for it or "
            "give another --output_folder"
        )
    try:
        yield
    finally:
        lock.release()


def train_fold(hparams, run_opts, corpus, fold):
    """Trains one fold, tests its best checkpoint and writes what it found.

    Arguments
    ---------
    hparams : dict
        The hyper-parameters of this fold.
    run_opts : dict
        SpeechBrain's run options.
    corpus : Corpus
        The prepared corpus.
    fold : int
        The fold.
    """
    parts = split_fold(corpus.folds, fold)
    logger.info(describe_fold(corpus.utterances, parts))

    # Features are made once a corpus; here they are only opened.
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

    # What is learnt before training is learnt from the training set alone.
    mean, std = store.statistics(parts["train"])
    hparams["modules"]["normalize"].set_statistics(mean, std)
    hparams["modules"]["model"].fit_vocabulary(
        corpus.words_of(parts["train"]),
        corpus.words_of(parts["valid"] + parts["test"]),
    )

    label_encoder = sb.dataio.encoder.CategoricalEncoder()
    label_encoder.update_from_iterable(corpus.classes)
    label_encoder.expect_len(len(corpus.classes))
    datasets = make_datasets(corpus.utterances, parts, store, label_encoder)
    loader_options = {
        "batch_size": hparams["batch_size"],
        "num_workers": hparams["num_workers"],
        "collate_fn": flat_batch,
    }

    if hparams["use_tensorboard"]:
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
    # Everything that changes is in the checkpoint: a run that is stopped goes
    # on from its last epoch when it is started again.
    brain.fit(
        epoch_counter=hparams["epoch_counter"],
        train_set=datasets["train"],
        valid_set=datasets["valid"],
        train_loader_kwargs={**loader_options, "shuffle": True},
        valid_loader_kwargs=loader_options,
    )
    brain.evaluate(
        test_set=datasets["test"],
        test_loader_kwargs=loader_options,
    )
    if brain.debug:
        logger.info("Debugging: the fold's result is not recorded")
        return
    run_on_main(record_fold, args=[brain, hparams, corpus, fold])


def _build_store(**settings):
    """Returns nothing: what runs on main is sent to every process."""
    FeatureStore.build(**settings)


def record_fold(brain, hparams, corpus, fold):
    """Writes predictions, attention, the result and the picture of a fold.

    Arguments
    ---------
    brain : EmotionBrain
        After ``evaluate``.
    hparams : dict
        The hyper-parameters of this fold.
    corpus : Corpus
        The prepared corpus.
    fold : int
        The fold.
    """
    folder = Path(hparams["fold_folder"])
    log_probabilities = brain.test_log_probabilities
    true = [corpus.classes[i] for i in brain.test_targets.tolist()]
    predicted = [
        corpus.classes[i] for i in log_probabilities.argmax(1).tolist()
    ]
    write_predictions(
        folder / "predictions.csv",
        brain.test_ids,
        true,
        predicted,
        log_probabilities.exp().numpy(),
        corpus.classes,
    )
    if brain.test_attention:
        write_attention(
            folder / ATTENTION_TABLE, brain.test_ids, brain.test_attention
        )
    epochs, seconds = brain.training_effort()
    # The presence of this file says that the fold is finished.
    write_json(
        folder / FOLD_RESULT,
        {
            "fold": fold,
            **accuracies(true, predicted),
            "n_test": len(true),
            "epochs": epochs,
            "seconds": round(seconds, 1),
        },
    )
    if hparams["draw_attention"] and brain.test_attention:
        draw_attention(brain, hparams, corpus)


def draw_attention(brain, hparams, corpus):
    """Draws the attention of one test utterance: ``attention.png``.

    It is the surest of the correct predictions on four to twelve words, or
    the surest of all where there is none.

    Arguments
    ---------
    brain : EmotionBrain
        After ``evaluate``.
    hparams : dict
        The hyper-parameters of this fold.
    corpus : Corpus
        The prepared corpus.
    """
    try:
        from speechbrain_can.results.plots import plot_utterance
    except ImportError:
        logger.warning(
            "No picture is drawn: matplotlib is not installed "
            "(pip install 'speechbrain_can[plots]')"
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
    name = brain.test_ids[chosen]
    utterance = corpus.utterances[name]
    sample_rate = hparams["compute_features"].sample_rate
    path = Path(hparams["fold_folder"]) / ATTENTION_PICTURE
    plot_utterance(
        path,
        utterance,
        read_waveform(resolve_wav(utterance, corpus.data_folder), sample_rate),
        sample_rate,
        brain.test_attention[chosen],
        hparams["segment"](
            [word.start for word in utterance.words],
            [word.end for word in utterance.words],
        ),
        dict(
            zip(
                corpus.classes,
                brain.test_log_probabilities[chosen].exp().tolist(),
            )
        ),
    )
