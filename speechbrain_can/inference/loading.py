"""Loading of a recognizer by the name or the folder of its model."""

import os
from pathlib import Path

from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.files import InputError
from speechbrain_can.model_folder.read import packaged
from speechbrain_can.settings.run_options import choose_device


def load_recognizer(
    source: str | Path,
    whisper: str | None = None,
    device: str = "cpu",
    encoder: str | None = None,
    text_encoder: str | None = None,
) -> EmotionRecognizer:
    """Load an ``EmotionRecognizer`` from a model folder or the Hugging Face hub.

    ``whisper`` replaces the Whisper model for transcription, ``encoder`` and
    ``text_encoder`` the pretrained encoders, and ``auto`` selects a GPU if there is
    one. Raises ``InputError`` if a folder is not a model folder, the device is
    unusable, or the model has no such part or one of another size.
    """
    source = packaged(source)
    if not os.path.exists(source) and len(Path(source).parts) != 2:
        raise InputError(
            f"{source} is neither a folder, nor a packaged model, nor a name on "
            "the Hugging Face hub such as user/model"
        )
    overrides = {
        "whisper": whisper,
        "audio_source": encoder,
        "text_source": text_encoder,
    }
    overrides = {k: v for k, v in overrides.items() if v is not None}
    return EmotionRecognizer.from_hparams(
        source,
        overrides=overrides,
        run_opts={"device": choose_device(device)},
    )
