"""Pretrained encoders from Hugging Face, pooled to words (extra
``huggingface``).

A name on the hub or a folder is all that they need; SpeechBrain's own
integration loads them. A frozen one is no part of a checkpoint: it is what its
source says."""

from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache

from speechbrain_can.files import state_of_files
from speechbrain_can.hub import PretrainedError, located, split_revision


def load_pretrained(build, source, save_path):
    """Builds a part that loads a pretrained model: ``build`` takes where it is.

    ``source`` is a folder, a name on the hub, or ``name@revision``: a commit, a
    branch or a tag. Of a commit, every file is held against its checksum.
    """
    try:
        return build(located(source, save_path))
    except PretrainedError:
        raise
    # The hub, its cache and the model classes raise many kinds of errors.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PretrainedError(
            f"{source!r} cannot be loaded ({reason}). Give the name of a model "
            "on the Hugging Face hub or, where there is no network, the folder "
            "of one that save_pretrained wrote together with its tokenizer or "
            "feature extractor"
        ) from error


def model_version(source, save_path):
    """Which one of the models of that name: it may come to mean another."""
    if split_revision(source)[1]:
        return Path(located(source, save_path)).name
    if Path(source).is_dir():
        return state_of_files(source)
    # The hub's cache keeps each commit in a folder of its own.
    config = try_to_load_from_cache(source, "config.json", cache_dir=save_path)
    return Path(config).parent.name


class PretrainedModule(torch.nn.Module):
    """Holds an encoder: as a part that is trained, or frozen beside them.

    A frozen one moves between devices with the rest, but it is not saved and
    stays in evaluation: SpeechBrain's own would drop units out while it trains.
    """

    def __init__(self, encoder, freeze):
        super().__init__()
        # Some are published in half precision, which the rest is not in.
        encoder = encoder.float()
        self._frozen = ()
        if freeze:
            self._frozen = (encoder.eval().requires_grad_(False),)
        else:
            self.trained = encoder

    @property
    def encoder(self):
        """The pretrained model."""
        return self._frozen[0] if self._frozen else self.trained

    def _apply(self, function, recurse=True):
        for encoder in self._frozen:
            encoder._apply(function, recurse)
        return super()._apply(function, recurse)
