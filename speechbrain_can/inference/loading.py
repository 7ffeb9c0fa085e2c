"""Loading of a recognizer by the name or the folder of its model."""

from pathlib import Path

from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.files import InputError
from speechbrain_can.model_folder.parameters import PACKED
from speechbrain_can.model_folder.read import packaged
from speechbrain_can.settings.hparams import SETTINGS


def load_recognizer(
    source: str | Path, whisper: str | None = None, device: str = "cpu"
) -> EmotionRecognizer:
    """Load an ``EmotionRecognizer`` from a model folder or the Hugging Face hub.

    ``whisper`` replaces the Whisper model for transcription. Raises
    ``InputError`` if a folder is not a model folder or the device is unusable.
    """
    source = packaged(source)
    folder = Path(source)
    if not folder.exists() and len(folder.parts) != 2:
        raise InputError(
            f"{source} is neither a folder, nor a packaged model, nor a name on "
            "the Hugging Face hub such as user/model"
        )
    if folder.is_dir() and not (folder / SETTINGS).exists():
        raise InputError(
            f"{folder} is not a model folder: it has no {SETTINGS}"
        )
    if folder.is_dir() and not (folder / PACKED).exists():
        hint = (
            f". Pass {folder / 'model'}." if (folder / "model").is_dir() else ""
        )
        raise InputError(f"{folder} is not a model folder{hint}")
    overrides = {}
    if whisper is not None:
        settings = folder / SETTINGS
        if settings.exists() and "\nwhisper:" not in settings.read_text(
            "utf-8"
        ):
            raise InputError(
                f"{folder} has no speech recognizer that {whisper} could replace: "
                "the model needs alignments. Remove --whisper."
            )
        overrides["whisper"] = whisper
    return EmotionRecognizer.from_hparams(
        source=str(source), overrides=overrides, run_opts={"device": device}
    )
