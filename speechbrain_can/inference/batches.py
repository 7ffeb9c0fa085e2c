"""Prediction of many recordings with per-recording error handling."""

from dataclasses import dataclass
from typing import Iterable, Iterator, List, Tuple

from speechbrain_can.inference.inputs import Recording, check_limits
from speechbrain_can.inference.prediction import Prediction
from speechbrain_can.inference.recognizer import EmotionRecognizer
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
    """

    recording: Recording
    predictions: List[Prediction]
    problems: List[str]
    adjustments: Tuple[str, ...] = ()


def predict_recordings(
    recognizer: EmotionRecognizer,
    recordings: Iterable[Recording],
    longest: float = 30.0,
    largest_file: float = LARGEST_FILE,
    longest_file: float = LONGEST_FILE,
) -> Iterator[Outcome]:
    """Predict recordings one by one and yield an outcome for each.

    Errors do not stop the remaining recordings. Recordings longer than ``longest``
    seconds are split at pauses. Files over ``largest_file`` MB and recordings over
    ``longest_file`` minutes are skipped.
    """
    for recording in recordings:
        known = {
            "transcript": recording.transcript,
            "alignment": recording.alignment,
            "channel": recording.channel,
        }
        try:
            check_limits(recording.path, largest_file, longest_file)
            if audio_duration(recording.path, recording.channel) <= longest:
                prediction = recognizer.classify_file(recording.path, **known)
                yield Outcome(
                    recording, [prediction], [], prediction.adjustments
                )
                continue
            timeline = recognizer.timeline(
                recording.path, **known, longest=min(longest, LONGEST_UTTERANCE)
            )
        except (InputError, OSError) as error:
            yield Outcome(recording, [], [str(error)])
            continue
        # torch raises RuntimeError if memory cannot be allocated
        except (RuntimeError, MemoryError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            problem = f"{recording.path}: cannot be predicted ({reason})"
            yield Outcome(recording, [], [problem])
            continue
        problems = [
            f"{start:.1f} to {end:.1f} s: {reason}"
            for start, end, reason in timeline.skipped
        ]
        if not timeline.predictions and not problems:
            problems = ["no speech was detected"]
        yield Outcome(
            recording, timeline.predictions, problems, timeline.adjustments
        )
