"""Checkpoints that survive a kill at any moment, and which one is tested."""

import logging
import math
import os
import zlib
from functools import lru_cache

import yaml

from speechbrain.utils.checkpoints import (
    METAFNAME,
    PARAMFILE_EXT,
    Checkpointer,
    mark_as_loader,
    mark_as_saver,
    mark_as_transfer,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import ddp_barrier, if_main_process
from speechbrain.utils.epoch_loop import EpochCounterWithStopper
from speechbrain.utils.logger import get_logger
from speechbrain_can.files import InputError

logger = get_logger(__name__)

CHECKSUMS = "checksums"  # in the meta file


class CheckpointError(InputError):
    """Checkpoints from which a run cannot go on; the message says what to do."""


@lru_cache(maxsize=None)
def _checksum(path, size, time):
    """Of a file as it is: of this size, changed at this time."""
    return zlib.crc32(path.read_bytes())


def _checksums(folder):
    found = {}
    for path in sorted(folder.glob(f"*{PARAMFILE_EXT}")):
        stat = path.stat()
        found[path.name] = _checksum(path, stat.st_size, stat.st_mtime_ns)
    return found


@lru_cache(maxsize=None)
def _warn(folder):
    """Once a process: checkpoints are listed in every epoch."""
    logger.warning(
        f"{folder} is damaged, and not used; training goes on from an earlier "
        "checkpoint, if there is one"
    )


def _is_whole(folder):
    """Whether a checkpoint is what was saved."""
    try:
        with open(folder / METAFNAME, encoding="utf-8") as stream:
            meta = yaml.safe_load(stream)
        whole = "unixtime" in meta and meta[CHECKSUMS] == _checksums(folder)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        whole = False
    if not whole:
        _warn(folder)
    return whole


class AtomicCheckpointer(Checkpointer):
    """A ``Checkpointer`` whose checkpoints count only when they are complete.

    SpeechBrain 1.1.2 takes a folder for a checkpoint as soon as its meta file
    is there, and writes that file first: a run that was killed while it saved
    picks the torn checkpoint when it is started again, and crashes. Here the
    meta file gets its name last, with a sum of every other file: one that was
    damaged since does not count either.

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
        try:
            checkpoint = super().save_checkpoint(*args, **kwargs)
        # torch writes files by itself, and has no error of its own for it
        except RuntimeError as error:
            raise CheckpointError(
                f"no checkpoint can be written to {self.checkpoints_dir} "
                f"({str(error).splitlines()[0]}); is the disk full? What is "
                "finished is kept: make room, and give the same command again"
            ) from error
        if if_main_process():
            partial = checkpoint.path / ("partial-" + METAFNAME)
            with open(partial, "a", encoding="utf-8") as stream:
                yaml.dump({CHECKSUMS: _checksums(checkpoint.path)}, stream)
            os.replace(partial, checkpoint.path / METAFNAME)
        # The others look for checkpoints next, and must find this one too.
        ddp_barrier()
        return checkpoint

    def list_checkpoints(self):
        """See ``Checkpointer.list_checkpoints``; the whole ones alone."""
        folders = filter(_is_whole, self._list_checkpoint_dirs())
        return self._construct_checkpoint_objects(folders)


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
    meta = {"error": error, "epoch": epoch}
    earlier = [
        c.meta for c in checkpointer.list_checkpoints() if "epoch" in c.meta
    ]
    best = min([*earlier, meta], key=lambda m: (m["error"], m["epoch"]))
    checkpointer.save_and_keep_only(
        meta={
            **meta,
            "best_epoch": best["epoch"],
            "seconds": seconds,
            "scores": scores,
        },
        importance_keys=[_quality],
        verbosity=logging.DEBUG,
    )


def recover_tested(checkpointer):
    """Loads the checkpoint that is tested: the best on the validation set.

    The plain ``recover_if_possible()`` loads the newest one instead, to train
    on. Raises ``FileNotFoundError`` if there is none, and ``CheckpointError`` if
    the best one is gone.
    """
    if training_effort(checkpointer) == (0, 0.0):
        raise FileNotFoundError(
            f"There is no checkpoint in {checkpointer.checkpoints_dir} to test; "
            "train first"
        )
    last = max(
        (c.meta for c in checkpointer.list_checkpoints() if "epoch" in c.meta),
        key=lambda meta: meta["epoch"],
    )
    best = checkpointer.find_checkpoint(importance_key=_quality)
    if best.meta["epoch"] != last["best_epoch"]:
        folder = checkpointer.checkpoints_dir
        raise CheckpointError(
            f"the checkpoint of epoch {last['best_epoch']}, the best one, is gone "
            f"from {folder} or damaged; delete {folder.parent} to train the fold "
            "again"
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
