"""Settings are looked at before any work: hours may lie before their first use."""

import math
from pathlib import Path

from hyperpyyaml import load_hyperpyyaml

from speechbrain_can.corpus.leakage import named_kinds
from speechbrain_can.corpus.protocols import protocol_name
from speechbrain_can.hparams import SettingsError

# Whole numbers, and the least that each can be
WHOLE = {
    **dict.fromkeys(("batch_size", "number_of_epochs", "patience"), 1),
    **dict.fromkeys(("heads", "hops", "hidden_size", "embedding_size"), 1),
    **dict.fromkeys(("projection_size", "subsampling", "channels"), 1),
    **dict.fromkeys(("n_mfcc", "n_mels", "trained_layers"), 1),
    **dict.fromkeys(("seed", "fold_seed", "num_workers", "feature_workers"), 0),
    "classes": 2,
    "sample_rate": 1000,
}
# Whole numbers that may also be null
OPTIONAL = ("trained_layers",)
# From 0 to 1
SHARES = ("align_weight", "overlap", "dropout", "label_smoothing")
POSITIVE = ("lr", "fine_tuned_lr", "max_grad_norm")
SWITCHES = (
    *("stop_gradient", "soft_labels", "draw_attention", "use_tensorboard"),
    *("canonical_text", "deviation"),
)
# What is built of an hparams file to see that it can be; checkpoints and logs
# would make folders
PARTS = (
    *("compute_features", "segment", "modules", "opt_class", "epoch_counter"),
    *("loss", "sampler", "augment_waveform", "augment_frames", "lr_annealing"),
)
SAMPLE = 2**16  # bytes of a text file that are looked at


def check_settings(settings):
    """Refuses, with an ``InputError``, what would fail or mislead later.

    Arguments
    ---------
    settings : Settings
        Of a run.
    """
    hparams = settings.plain()
    for key, value in hparams.items():
        reason = _wrong(key, value)
        if reason:
            raise SettingsError(f"{key} is {value!r}; give {reason}")
    protocol_name(hparams["preparation"]["protocol"])
    named_kinds(hparams.get("strict", False))
    if hparams.get("glove_file"):
        check_glove(hparams["glove_file"], hparams["embedding_size"])
    try:
        load_hyperpyyaml(settings.part([p for p in PARTS if p in hparams]))
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"{settings.name} cannot be built: {error}"
        ) from error


def _wrong(key, value):
    """Return what a value should be instead; None if it is valid."""
    if value is None and key in OPTIONAL:
        return None
    if key in SWITCHES:
        return None if isinstance(value, bool) else "True or False"
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    number = number and math.isfinite(value)
    if key in WHOLE and not (
        number and isinstance(value, int) and value >= WHOLE[key]
    ):
        or_null = ", or null" if key in OPTIONAL else ""
        return f"a whole number from {WHOLE[key]} on{or_null}"
    if key in SHARES and not (number and 0 <= value <= 1):
        return "a number from 0 to 1"
    if key in POSITIVE and not (number and value > 0):
        return "a number above 0"
    return None


def check_glove(path, size):
    """Refuses what is no text file of vectors of this size, by its beginning."""
    path = Path(path)
    if not path.is_file():
        raise SettingsError(f"glove_file {path}: there is no such file")
    with open(path, "rb") as stream:
        content = stream.read(SAMPLE)
    if content[:2] in (b"\x1f\x8b", b"PK"):
        raise SettingsError(f"glove_file {path} is compressed; unpack it")
    # whole lines: the last one may be cut within a character
    whole, _, rest = content.rpartition(b"\n")
    try:
        lines = (whole or rest).decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        lines = [""]
    if len(lines[0].split()) == 2:
        lines = lines[1:] or [""]  # word2vec's header
    values = max(0, len(lines[0].split()) - 1)
    if values != size:
        raise SettingsError(
            f"glove_file {path} is no UTF-8 text of lines with a word and "
            f"embedding_size={size} values; the first line has {values}"
        )
