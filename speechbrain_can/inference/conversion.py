"""Conversion of model folders that earlier versions wrote."""

from pathlib import Path

from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.files import InputError
from speechbrain_can.model_folder.parameters import PACKED, is_half
from speechbrain_can.model_folder.write import (
    CARD,
    prediction_settings,
    write_model_folder,
)
from speechbrain_can.settings.hparams import SETTINGS, Settings


def convert_model_folder(source: str | Path, output: str | Path) -> None:
    """Write a model folder of an earlier version in the current format.

    This executes the settings of the folder. Raises ``InputError`` if ``output``
    exists or ``source`` is not a model folder.
    """
    source, output = Path(source), Path(output)
    if output.exists():
        raise InputError(f"{output} exists. Choose another output folder.")
    for name in (SETTINGS, PACKED):
        if not (source / name).is_file():
            raise InputError(
                f"{source} is not a model folder: it has no {name}."
            )
    recognizer = EmotionRecognizer.from_hparams(source, trust_model_code=True)
    built = vars(recognizer.hparams)
    settings = Settings(source.name, (source / SETTINGS).read_text("utf-8"))
    card = source / CARD
    write_model_folder(
        output,
        prediction_settings(settings, built, built["temperature"]),
        recognizer.classes,
        card.read_text("utf-8") if card.exists() else "",
        built["modules"],
        is_half(source / PACKED),
    )
