"""Checkpoints that survive interruption at any time, and the choice of the tested one."""

import logging
import math
import os
import random
from functools import lru_cache
from pathlib import Path

import torch
import yaml

from speechbrain.utils.checkpoints import (
    METAFNAME,
    PARAMFILE_EXT,
    Checkpoint,
    Checkpointer,
    mark_as_loader,
    mark_as_saver,
    mark_as_transfer,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import ddp_barrier, if_main_process
from speechbrain.utils.epoch_loop import EpochCounterWithStopper
from speechbrain.utils.logger import get_logger
from speechbrain_can.io.files import InputError
from speechbrain_can.io.integrity import checksum_of_file

logger = get_logger(__name__)

CHECKSUMS = "checksums"  # key in the meta file


class CheckpointError(InputError):
    """Raised for unusable checkpoints; the message says what to do."""


@lru_cache(maxsize=None)
def _checksum(path: Path, size: int, time: int) -> int:
    """Return the checksum of a file, cached by its size and modification time."""
    return checksum_of_file(path)


def _checksums(folder):
    found = {}
    for path in sorted(folder.glob(f"*{PARAMFILE_EXT}")):
        stat = path.stat()
        found[path.name] = _checksum(path, stat.st_size, stat.st_mtime_ns)
    return found


@lru_cache(maxsize=None)
def _warn(folder: Path) -> None:
    """Warn about a damaged checkpoint once per process."""
    logger.warning(
        f"{folder} is damaged and ignored. Training resumes from an earlier "
        "checkpoint, if there is one."
    )


def _is_whole(folder: Path) -> bool:
    """Return whether a checkpoint is complete and unchanged."""
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
    """Checkpointer that ignores incomplete and damaged checkpoints.

    SpeechBrain 1.1.2 recognizes a checkpoint by its meta file, but writes that file
    first: if a run is killed while saving, the next run loads the incomplete
    checkpoint and crashes. This class renames the meta file to its final name
    last, and stores checksums of all other files in it.

    Arguments
    ---------
    *args, **kwargs
        Arguments of ``Checkpointer``.

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
        """Save a checkpoint; see ``Checkpointer.save_checkpoint``."""
        try:
            checkpoint = super().save_checkpoint(*args, **kwargs)
        # torch raises a RuntimeError if it cannot write a file
        except RuntimeError as error:
            raise CheckpointError(
                f"cannot write a checkpoint to {self.checkpoints_dir} "
                f"({str(error).splitlines()[0]}). If the disk is full, free some "
                "space and run the same command again; finished work is kept."
            ) from error
        if if_main_process():
            partial = checkpoint.path / ("partial-" + METAFNAME)
            with open(partial, "a", encoding="utf-8") as stream:
                yaml.dump({CHECKSUMS: _checksums(checkpoint.path)}, stream)
            os.replace(partial, checkpoint.path / METAFNAME)
        # All processes list checkpoints next and must find this one.
        ddp_barrier()
        return checkpoint

    def list_checkpoints(self):
        """Return the complete checkpoints; see ``Checkpointer.list_checkpoints``."""
        folders = filter(_is_whole, self._list_checkpoint_dirs())
        return self._construct_checkpoint_objects(folders)


@register_checkpoint_hooks
class EarlyStoppingCounter(EpochCounterWithStopper):
    """Epoch counter that saves and restores its early stopping state.

    SpeechBrain 1.1.2 does not register the checkpoint hooks of
    ``EpochCounterWithStopper``: checkpoints contain only the epoch, and a resumed
    run restarts its patience.

    Arguments
    ---------
    *args, **kwargs
        Arguments of ``EpochCounterWithStopper``.

    Example
    -------
    >>> counter = EarlyStoppingCounter(
    ...     limit=10, limit_to_stop=2, limit_warmup=0, direction="min"
    ... )
    >>> for epoch in counter:
    ...     counter.update_metric(0.5)  # no improvement
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


def random_state() -> dict:
    """Return the states of the random generators that training uses, as plain values."""
    version, numbers, normal = random.getstate()
    states = [torch.get_rng_state()]
    if torch.cuda.is_initialized():
        states.append(torch.cuda.get_rng_state())
    return {
        "torch": [bytes(state.tolist()).hex() for state in states],
        "python": [version, list(numbers), normal],
    }


def restore_random_state(state: dict) -> None:
    """Restore the result of ``random_state``."""
    version, numbers, normal = state["python"]
    random.setstate((version, tuple(numbers), normal))
    setters = (torch.set_rng_state, torch.cuda.set_rng_state)
    for restore, text in zip(setters, state["torch"]):
        restore(torch.tensor(list(bytes.fromhex(text)), dtype=torch.uint8))


def _quality(checkpoint: Checkpoint) -> tuple[float, int]:
    """Return the rank of a checkpoint: the lowest error, then the earliest epoch.

    Checkpoints within an epoch have no error yet.
    """
    error = checkpoint.meta.get("error", math.inf)
    return -error, -checkpoint.meta.get("epoch", 0)


def save_epoch(
    checkpointer: Checkpointer,
    epoch: int,
    error: float,
    seconds: float,
    scores: dict[str, float],
) -> None:
    """Save an epoch, and keep only it and the best one.

    ``scores`` are the metrics on the validation set.
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


def recover_tested(checkpointer: Checkpointer) -> Checkpoint:
    """Load the checkpoint with the best validation score.

    ``recover_if_possible()`` without arguments loads the newest one, to resume
    training. Raises ``FileNotFoundError`` if there is no checkpoint, and
    ``CheckpointError`` if the best one is missing or damaged.
    """
    if training_effort(checkpointer) == (0, 0.0):
        raise FileNotFoundError(
            f"{checkpointer.checkpoints_dir} contains no checkpoint to test. "
            "Train first."
        )
    last = max(
        (c.meta for c in checkpointer.list_checkpoints() if "epoch" in c.meta),
        key=lambda meta: meta["epoch"],
    )
    best = checkpointer.find_checkpoint(importance_key=_quality)
    if best.meta["epoch"] != last["best_epoch"]:
        folder = checkpointer.checkpoints_dir
        raise CheckpointError(
            f"the best checkpoint, epoch {last['best_epoch']}, is missing from "
            f"{folder} or damaged. Delete {folder.parent} to train the fold again."
        )
    return checkpointer.recover_if_possible(importance_key=_quality)


def training_effort(checkpointer: Checkpointer) -> tuple[int, float]:
    """Return the number of finished epochs and their seconds, over all resumes."""
    return max(
        (
            (checkpoint.meta["epoch"], checkpoint.meta["seconds"])
            for checkpoint in checkpointer.list_checkpoints()
            if "epoch" in checkpoint.meta
        ),
        default=(0, 0.0),
    )
