"""A trained fold, from its folder alone.

Authors
 * The speechbrain-can developers 2026
"""

from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import torch

from speechbrain.dataio.encoder import CategoricalEncoder
from speechbrain_can.hparams import SETTINGS, SettingsError, read_settings
from speechbrain_can.results.folds import LABEL_ENCODER
from speechbrain_can.training.checkpoints import recover_tested


class TrainedFold(NamedTuple):
    """What a fold was tested with.

    Arguments
    ---------
    hparams : dict
        Its hyper-parameters, every object built; ``modules`` have the
        parameters of the tested checkpoint and are in evaluation.
    classes : list of str
        The emotions, in the order of the logits.
    """

    hparams: Dict[str, Any]
    classes: List[str]


def load_fold(folder):
    """Loads the tested checkpoint of a fold, wherever its folder is now.

    What a checkpoint does not hold is found as in training: a frozen pretrained
    model by its name or folder, a part of one's own by importing it.

    Arguments
    ---------
    folder : str or Path
        A ``fold_<number>`` of a run: ``hyperparams.yaml``,
        ``label_encoder.txt`` and ``save``.

    Returns
    -------
    TrainedFold
        Its parts and classes.

    Raises
    ------
    SettingsError
        If the folder is not that of a fold.
    FileNotFoundError
        If no epoch was finished.
    """
    folder = Path(folder)
    for name in (SETTINGS, LABEL_ENCODER):
        if not (folder / name).exists():
            raise SettingsError(
                f"{folder} has no {name}; give a folder fold_<number> of a run"
            )
    settings = read_settings(folder / SETTINGS, {"fold_folder": str(folder)})
    # Values that are drawn here are replaced by those of the checkpoint.
    with torch.random.fork_rng(devices=[]):
        hparams = settings.build(seeded=False)
    recover_tested(hparams["checkpointer"])
    for module in hparams["modules"].values():
        module.eval()
    label_encoder = CategoricalEncoder()
    label_encoder.load(folder / LABEL_ENCODER)
    classes = [label_encoder.ind2lab[i] for i in range(len(label_encoder))]
    return TrainedFold(hparams, classes)
