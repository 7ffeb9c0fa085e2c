"""Checkpoints that survive a kill at any moment, and which one is tested.

Authors
 * The speechbrain-can developers 2026
"""

import logging
import math
import os

from speechbrain.utils.checkpoints import (
    METAFNAME,
    Checkpointer,
    mark_as_loader,
    mark_as_saver,
    mark_as_transfer,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import ddp_barrier, if_main_process
from speechbrain.utils.epoch_loop import EpochCounterWithStopper


class AtomicCheckpointer(Checkpointer):
    """A ``Checkpointer`` whose checkpoints count only when they are complete.

    SpeechBrain 1.1.2 takes a folder for a checkpoint as soon as its meta file
    is there, and writes that file first: a run that was killed while it saved
    picks the torn checkpoint when it is started again, and crashes. Here the
    meta file gets its name last.

    Arguments
    ---------
    *args, **kwargs
        As for ``Checkpointer``.

    Example
    -------
    >>> import torch
    >>> folder = getfixture("tmpdir")
    >>> checkpointer = AtomicCheckpointer(folder, {"model": torch.nn.ReLU()})
    >>> checkpointer.save_checkpoint(meta={"epoch": 3}).meta["epoch"]
    3
    >>> checkpointer.find_checkpoint().meta["epoch"]
    3
    """

    def _save_checkpoint_metafile(self, fpath, *args, **kwargs):
        return super()._save_checkpoint_metafile(
            fpath.with_name("partial-" + fpath.name), *args, **kwargs
        )

    def save_checkpoint(self, *args, **kwargs):
        """See ``Checkpointer.save_checkpoint``."""
        checkpoint = super().save_checkpoint(*args, **kwargs)
        if if_main_process():
            os.replace(
                checkpoint.path / ("partial-" + METAFNAME),
                checkpoint.path / METAFNAME,
            )
        # The others look for checkpoints next, and must find this one too.
        ddp_barrier()
        return checkpoint


@register_checkpoint_hooks
class EarlyStoppingCounter(EpochCounterWithStopper):
    """An ``EpochCounterWithStopper`` that resumes with its best score.

    SpeechBrain 1.1.2 does not register the hooks of ``EpochCounterWithStopper``,
    so that a checkpoint holds the number of the epoch alone, and a resumed run
    starts its patience anew.

    Arguments
    ---------
    *args, **kwargs
        As for ``EpochCounterWithStopper``.

    Example
    -------
    >>> counter = EarlyStoppingCounter(
    ...     limit=10, limit_to_stop=2, limit_warmup=0, direction="min"
    ... )
    >>> for epoch in counter:
    ...     counter.update_metric(0.5)  # it never falls
    >>> epoch
    3
    """

    @mark_as_saver
    def _save(self, path):
        super()._save(path)

    @mark_as_loader
    @mark_as_transfer
    def _recover(self, path, end_of_epoch=True):
        super()._recover(path, end_of_epoch)


def _quality(checkpoint):
    """Ranks checkpoints; the first of equally good ones, as the stopper does.

    One from the middle of an epoch has no error yet.
    """
    error = checkpoint.meta.get("error", math.inf)
    return -error, -checkpoint.meta.get("epoch", 0)


def save_epoch(checkpointer, epoch, error, seconds, scores):
    """Saves an epoch, and keeps it beside the best one alone.

    ``scores`` are the metrics of the validation set, for the record.
    """
    checkpointer.save_and_keep_only(
        meta={
            "error": error,
            "epoch": epoch,
            "seconds": seconds,
            "scores": scores,
        },
        importance_keys=[_quality],
        verbosity=logging.DEBUG,
    )


def recover_tested(checkpointer):
    """Loads the checkpoint that is tested: the best on the validation set.

    The plain ``recover_if_possible()`` loads the newest one instead, to train
    on. Raises ``FileNotFoundError`` if there is none.
    """
    if training_effort(checkpointer) == (0, 0.0):
        raise FileNotFoundError(
            f"There is no checkpoint in {checkpointer.checkpoints_dir} to test; "
            "train first"
        )
    return checkpointer.recover_if_possible(importance_key=_quality)


def training_effort(checkpointer):
    """Finished epochs and the seconds that they took, over all resumes."""
    return max(
        (
            (checkpoint.meta["epoch"], checkpoint.meta["seconds"])
            for checkpoint in checkpointer.list_checkpoints()
            if "epoch" in checkpoint.meta
        ),
        default=(0, 0.0),
    )
