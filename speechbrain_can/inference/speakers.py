"""Speakers of recordings, and profiles of enrolled speakers."""

from pathlib import Path
from typing import Sequence

from safetensors import SafetensorError
from safetensors.torch import load_file, safe_open, save_file

from speechbrain_can.features.normalization import SpeakerProfile
from speechbrain_can.inference.inputs import Recording, with_speakers
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.files import InputError
from speechbrain_can.io.integrity import checksum

LARGEST_HEADER = 2**16  # bytes, with the name of the speaker
SAME_SPEAKER = "the speaker of all recordings"


def save_profile(
    recognizer: EmotionRecognizer, name: str, path: str | Path
) -> None:
    """Write the profile of an enrolled speaker to a file.

    The file contains statistics of the features, but no audio and no text. It can be
    used with the same model only.
    """
    profile = recognizer.profiles[name]
    save_file(
        {"totals": profile.totals, "counts": profile.counts},
        path,
        {
            "speaker": name,
            "recordings": str(profile.recordings),
            "model": _fingerprint(recognizer),
        },
    )


def load_profile(recognizer: EmotionRecognizer, path: str | Path) -> str:
    """Enroll the speaker of a profile; return the name.

    Raises ``InputError`` if the file is not a profile, or that of another model.
    """
    path = Path(path)
    if not recognizer.adapts:
        raise InputError(
            f"{path} cannot be used: the model does not adapt to speakers"
        )
    shape = recognizer.mods.normalize.class_means.shape
    largest = 8 * shape.numel() + LARGEST_HEADER
    if not path.is_file() or path.stat().st_size > largest:
        raise InputError(
            f"{path} is not a speaker profile of this model. Write one with "
            "speechbrain-can enroll."
        )
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        tensors = load_file(path)
        totals, counts = tensors["totals"], tensors["counts"]
        name, recordings = metadata["speaker"], int(metadata["recordings"])
        model = metadata["model"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(
            f"{path} is not a speaker profile ({error}). Write one with "
            "speechbrain-can enroll."
        ) from error
    if model != _fingerprint(recognizer):
        raise InputError(
            f"{path} is a profile for another model. Enroll the speaker with this "
            "model."
        )
    finite = totals.isfinite().all() and counts.isfinite().all()
    if (
        not finite
        or recordings < 1
        or totals.shape != shape
        or counts.shape != shape[:1]
    ):
        raise InputError(f"{path} is damaged. Enroll the speaker again.")
    recognizer.profiles[name] = SpeakerProfile(totals, counts, recordings)
    return name


def _fingerprint(recognizer: EmotionRecognizer) -> str:
    """Return a text that identifies the statistics that profiles refer to."""
    means = recognizer.mods.normalize.class_means.cpu().numpy()
    return f"{checksum(means):08x}"


def assign_speakers(
    recognizer: EmotionRecognizer,
    recordings: list[Recording],
    profiles: Sequence[str | Path] = (),
    same: bool = False,
    folders: bool = False,
) -> list[Recording]:
    """Load profiles and return the recordings with their speakers.

    See ``with_speakers``. A single profile is that of all recordings without a
    speaker. Raises ``InputError`` if the model cannot adapt to speakers although this
    was requested, or if the options contradict each other.
    """
    if (same or folders or profiles) and not recognizer.adapts:
        raise InputError(
            "this model does not adapt to speakers. Pass neither --same-speaker, "
            "--speaker-folders nor --profile, or train a model with "
            "SpeakerAdaptation, such as can_best.yaml."
        )
    if same + folders + (len(profiles) == 1) > 1:
        raise InputError(
            "--same-speaker, --speaker-folders and a single --profile exclude each "
            "other"
        )
    names = [load_profile(recognizer, path) for path in profiles]
    if len(set(names)) < len(names):
        raise InputError(
            f"two profiles are of the same speaker ({', '.join(sorted(names))}). "
            "Pass one profile per speaker."
        )
    everyone = names[0] if len(names) == 1 else None
    return with_speakers(
        recordings, SAME_SPEAKER if same else everyone, folders
    )
