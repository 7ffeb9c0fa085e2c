"""Prediction of many recordings with per-recording error handling."""

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, NamedTuple, Sequence, Tuple

import torch

from speechbrain_can.features.normalization import SpeakerProfile
from speechbrain_can.inference.inputs import Recording, check_limits
from speechbrain_can.inference.prediction import Prediction
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.inference.timeline import EncodedUtterance
from speechbrain_can.io.audio import audio_duration
from speechbrain_can.io.files import InputError

LONGEST_UTTERANCE = 15.0  # seconds, when a recording is split
LARGEST_FILE, LONGEST_FILE = 1024.0, 240.0  # megabytes, minutes


@dataclass(frozen=True)
class Outcome:
    """Result of predicting one recording.

    Arguments
    ---------
    recording : Recording
        The recording.
    predictions : list of Prediction
        One per utterance; empty if the recording was unusable.
    problems : list of str
        Reasons for utterances without a prediction.
    adjustments : tuple of str
        Repaired word timings, and text that was left out.
    skipped : tuple of (float, float)
        Start and end (seconds) of speech without a prediction, if other speech of the
        recording has one.
    """

    recording: Recording
    predictions: List[Prediction]
    problems: List[str]
    adjustments: Tuple[str, ...] = ()
    skipped: Tuple[Tuple[float, float], ...] = ()


def predict_recordings(
    recognizer: EmotionRecognizer,
    recordings: Sequence[Recording],
    longest: float = 30.0,
    largest_file: float = LARGEST_FILE,
    longest_file: float = LONGEST_FILE,
    adapt: bool = True,
) -> Iterator[Outcome]:
    """Predict recordings one by one and yield an outcome for each.

    Errors do not stop the remaining recordings. Recordings longer than ``longest``
    seconds are split at pauses. Files over ``largest_file`` MB and recordings over
    ``longest_file`` minutes are skipped.

    With ``adapt``, models that adapt to speakers adapt each utterance to the other
    utterances of its speaker. Utterances of a split recording without a speaker are
    those of one speaker. If the speaker of any recording is known, features are kept
    in a temporary folder until all recordings were read.
    """
    found = encode_recordings(
        recognizer, recordings, longest, largest_file, longest_file
    )
    adapts = adapt and recognizer.adapts
    if not (adapts and any(recording.speaker for recording in recordings)):
        for recording, encoded in found:
            speaker, profiles = None, {}
            if adapts:
                speaker = _add_to_speaker(
                    recognizer, recording, encoded, profiles
                )
            yield _outcome(recognizer, recording, encoded, speaker, profiles)
        return
    with tempfile.TemporaryDirectory() as folder:
        paths, speakers, profiles = [], [], {}
        for recording, encoded in found:
            speakers.append(
                _add_to_speaker(
                    recognizer, recording, encoded, profiles, len(speakers)
                )
            )
            paths.append(Path(folder) / f"{len(paths)}.pt")
            torch.save(encoded, paths[-1])
        for recording, path, speaker in zip(recordings, paths, speakers):
            encoded = torch.load(path, weights_only=False)  # written above
            path.unlink()
            yield _outcome(recognizer, recording, encoded, speaker, profiles)


def _add_to_speaker(
    recognizer: EmotionRecognizer,
    recording: Recording,
    encoded: "Encoded",
    profiles: dict[str, SpeakerProfile],
    number: int = 0,
) -> str | None:
    """Add the utterances of a recording to the profile of its speaker.

    Returns the speaker. The utterances of a split recording without a speaker get a
    speaker of their own, named after ``number``.
    """
    speaker = recording.speaker
    if speaker is None and len(encoded.utterances) > 1:
        speaker = f"speaker of recording {number}"
    if speaker is None or not encoded.utterances:
        return speaker
    with _reported(recording) as problems:
        evidence = recognizer.evidence(encoded.utterances)
        recognizer.add_to_profile(profiles, speaker, evidence)
    encoded.problems.extend(problems)
    return None if problems else speaker


def encode_recordings(
    recognizer: EmotionRecognizer,
    recordings: Sequence[Recording],
    longest: float = 30.0,
    largest_file: float = LARGEST_FILE,
    longest_file: float = LONGEST_FILE,
) -> Iterator[tuple[Recording, "Encoded"]]:
    """Yield recordings with their features; see ``predict_recordings``."""
    for recording in recordings:
        yield (
            recording,
            _encode(recognizer, recording, longest, largest_file, longest_file),
        )


class Encoded(NamedTuple):
    """Utterances of a recording, and what could not be encoded."""

    utterances: List[EncodedUtterance]
    problems: List[str]
    adjustments: Tuple[str, ...] = ()
    skipped: Tuple[Tuple[float, float], ...] = ()


def _encode(
    recognizer: EmotionRecognizer,
    recording: Recording,
    longest: float,
    largest_file: float,
    longest_file: float,
) -> Encoded:
    """Compute the features of a recording, or return why it is unusable."""
    known = {
        "transcript": recording.transcript,
        "alignment": recording.alignment,
        "channel": recording.channel,
        "language": recording.language,
    }
    with _reported(recording) as problems:
        check_limits(recording.path, largest_file, longest_file)
        if audio_duration(recording.path, recording.channel) <= longest:
            encoded = recognizer.encode_file(recording.path, **known)
            return Encoded([encoded], [], encoded.found.adjustments)
        split = recognizer.encode_timeline(
            recording.path, **known, longest=min(longest, LONGEST_UTTERANCE)
        )
        problems += [
            f"{start:.1f} to {end:.1f} s: {reason}"
            for start, end, reason in split.skipped
        ]
        if not split.utterances and not problems:
            problems.append("no speech was detected")
        spans = tuple((start, end) for start, end, _ in split.skipped)
        return Encoded(split.utterances, problems, split.adjustments, spans)
    return Encoded([], problems)


def _outcome(
    recognizer: EmotionRecognizer,
    recording: Recording,
    encoded: Encoded,
    speaker: str | None,
    profiles: dict[str, SpeakerProfile] | None,
) -> Outcome:
    """Predict the utterances of a recording."""
    predictions = []
    with _reported(recording) as problems:
        for utterance in encoded.utterances:
            predictions += recognizer.classify_encoded(
                [utterance], [speaker], profiles
            )
    return Outcome(
        recording,
        predictions,
        list(dict.fromkeys([*encoded.problems, *problems])),
        encoded.adjustments,
        encoded.skipped if predictions else (),
    )


@contextmanager
def _reported(recording: Recording) -> Iterator[List[str]]:
    """Context that collects errors of a recording as messages."""
    problems = []
    try:
        yield problems
    except (InputError, OSError) as error:
        problems.append(str(error))
    # torch raises RuntimeError if memory cannot be allocated
    except (RuntimeError, MemoryError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        problems.append(f"{recording.path}: cannot be predicted ({reason})")
