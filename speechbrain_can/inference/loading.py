"""Loading of a recognizer by the name or the folder of its model."""

import os
from pathlib import Path

from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.files import InputError
from speechbrain_can.model_folder.read import packaged
from speechbrain_can.settings.run_options import choose_device


def load_recognizer(
    source: str | Path, whisper: str | None = None, device: str = "cpu"
) -> EmotionRecognizer:
    """Load an ``EmotionRecognizer`` from a model folder or the Hugging Face hub.

    ``whisper`` replaces the Whisper model for transcription, and ``auto`` selects a
    GPU if there is one. Raises
    ``InputError`` if a folder is not a model folder or the device is unusable.
    """
    source = packaged(source)
    if not os.path.exists(source) and len(Path(source).parts) != 2:
        raise InputError(
            f"{source} is neither a folder, nor a packaged model, nor a name on "
            "the Hugging Face hub such as user/model"
        )
    overrides = {} if whisper is None else {"whisper": whisper}
    return EmotionRecognizer.from_hparams(
        source,
        overrides=overrides,
        run_opts={"device": choose_device(device)},
    )
