"""Validation of all settings before any work starts."""

import math
from pathlib import Path

from hyperpyyaml import load_hyperpyyaml

from speechbrain_can.corpus.leakage import named_kinds
from speechbrain_can.corpus.protocols import protocol_name
from speechbrain_can.settings.hparams import Settings, SettingsError

# Integers and their minima
WHOLE = {
    **dict.fromkeys(("batch_size", "number_of_epochs", "patience"), 1),
    **dict.fromkeys(("heads", "hops", "hidden_size", "embedding_size"), 1),
    **dict.fromkeys(("projection_size", "subsampling", "channels"), 1),
    **dict.fromkeys(("n_mfcc", "n_mels", "trained_layers"), 1),
    **dict.fromkeys(("seed", "fold_seed", "num_workers", "feature_workers"), 0),
    "augmented_copies": 0,
    "classes": 2,
    "sample_rate": 1000,
}

# Integers that may also be null
OPTIONAL = ("trained_layers", "num_workers")

# Numbers from 0 to 1
SHARES = ("align_weight", "overlap", "dropout", "label_smoothing")
POSITIVE = ("lr", "fine_tuned_lr", "max_grad_norm")

SWITCHES = (
    *("stop_gradient", "soft_labels", "draw_attention", "use_tensorboard"),
    *("canonical_text", "deviation", "gradient_checkpointing"),
)

# Objects that are built to validate them; checkpointers and loggers would create
# folders
PARTS = (
    *(
        "compute_features",
        "conditioning",
        "segment",
        "modules",
        "opt_class",
        "epoch_counter",
    ),
    *(
        "loss",
        "dimension_loss",
        "sampler",
        "augment_waveform",
        "augment_frames",
        "lr_annealing",
    ),
)

SAMPLE = 2**16  # bytes of a text file that are checked


def check_settings(settings: Settings) -> None:
    """Raise an ``InputError`` for settings that would fail or mislead later."""
    hparams = settings.plain()
    for key, value in hparams.items():
        reason = _wrong(key, value)
        if reason:
            raise SettingsError(
                f"invalid value {key}={value!r}. Pass {reason}."
            )
    _check_range(hparams.get("dimension_range"))
    protocol_name(hparams["preparation"]["protocol"])
    named_kinds(hparams.get("strict", False))
    if hparams.get("glove_file"):
        check_glove(hparams["glove_file"], hparams["embedding_size"])
    try:
        load_hyperpyyaml(settings.part([p for p in PARTS if p in hparams]))
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"{settings.name}: cannot build the objects of the settings: {error}"
        ) from error


def _check_range(limits: object) -> None:
    """Refuse a range of dimensions other than two increasing numbers or null."""
    if limits is None:
        return
    valid = (
        isinstance(limits, list)
        and len(limits) == 2
        and all(isinstance(n, (int, float)) for n in limits)
        and limits[0] < limits[1]
    )
    if not valid:
        raise SettingsError(
            f"invalid value dimension_range={limits!r}. Pass the lowest and the "
            "highest label, such as [1,5], or null."
        )


def _wrong(key: str, value: object) -> str | None:
    """Return the description of valid values, or None if a value is valid."""
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
        return f"an integer of at least {WHOLE[key]}{or_null}"
    if key in SHARES and not (number and 0 <= value <= 1):
        return "a number from 0 to 1"
    if key in POSITIVE and not (number and value > 0):
        return "a number above 0"
    return None


def check_glove(path: str | Path, size: int) -> None:
    """Refuse files that do not start with word vectors of this size."""
    path = Path(path)
    if not path.is_file():
        raise SettingsError(f"glove_file {path}: file not found")
    with open(path, "rb") as stream:
        content = stream.read(SAMPLE)
    if content[:2] in (b"\x1f\x8b", b"PK"):
        raise SettingsError(f"glove_file {path} is compressed. Decompress it.")
    # Use complete lines: the last one may end within a character.
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
            f"glove_file {path} must be UTF-8 text with a word and "
            f"embedding_size={size} values per line; the first line has {values} "
            "values"
        )
