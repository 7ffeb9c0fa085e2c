"""Checkpoints that survive a kill at any moment, and all that belongs in them.

Authors
 * The speechbrain-can developers 2026
"""

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

    SpeechBrain takes a folder for a checkpoint as soon as its meta file is
    there, and writes that file first: a run killed while it saves would resume
    from a torn checkpoint. Here the meta file gets its name last.

    Arguments
    ---------
    *args, **kwargs
        As for ``Checkpointer``.
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
    """

    @mark_as_saver
    def _save(self, path):
        super()._save(path)

    @mark_as_loader
    @mark_as_transfer
    def _recover(self, path, end_of_epoch=True):
        super()._recover(path, end_of_epoch)
