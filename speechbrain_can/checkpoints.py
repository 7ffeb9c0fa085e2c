"""Checkpoints that survive a kill at any moment.

Authors
 * The speechbrain-can developers 2026
"""

import os

from speechbrain.utils.checkpoints import METAFNAME, Checkpointer
from speechbrain.utils.distributed import if_main_process


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
        return checkpoint
