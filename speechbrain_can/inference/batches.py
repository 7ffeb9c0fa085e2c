"""Many recordings, of which some may be bad.

Authors
 * The speechbrain-can developers 2026
"""

from dataclasses import dataclass
from typing import List

from speechbrain_can.audio import audio_duration
from speechbrain_can.files import InputError
from speechbrain_can.inference.inputs import Recording, check_limits
from speechbrain_can.inference.prediction import Prediction

LONGEST_UTTERANCE = 15.0  # seconds, of what is cut
LARGEST_FILE, LONGEST_FILE = 1024.0, 240.0  # megabytes, minutes


@dataclass(frozen=True)
class Outcome:
    """What came of a recording.

    Arguments
    ---------
    recording : Recording
        The recording.
    predictions : list of Prediction
        Of its utterances; none if it could not be used.
    problems : list of str
        What could not be predicted, and why.
    """

    recording: Recording
    predictions: List[Prediction]
    problems: List[str]


def predict_recordings(
    recognizer,
    recordings,
    longest=30.0,
    largest_file=LARGEST_FILE,
    longest_file=LONGEST_FILE,
):
    """Predicts recordings one by one: a bad one does not stop the others.

    Arguments
    ---------
    recognizer : EmotionRecognizer
        The model.
    recordings : iterable of Recording
        What to predict.
    longest : float
        Seconds; a longer recording is cut at its pauses.
    largest_file : float
        Megabytes; a larger file is not read.
    longest_file : float
        Minutes; a longer recording is not read.

    Yields
    ------
    Outcome
        One a recording.
    """
    for recording in recordings:
        known = {
            "transcript": recording.transcript,
            "alignment": recording.alignment,
        }
        try:
            check_limits(recording.path, largest_file, longest_file)
            if audio_duration(recording.path) <= longest:
                prediction = recognizer.classify_file(recording.path, **known)
                yield Outcome(recording, [prediction], [])
                continue
            timeline = recognizer.timeline(
                recording.path, **known, longest=min(longest, LONGEST_UTTERANCE)
            )
        except (InputError, OSError) as error:
            yield Outcome(recording, [], [str(error)])
            continue
        problems = [
            f"{start:.1f} to {end:.1f} s: {reason}"
            for start, end, reason in timeline.skipped
        ]
        if not timeline.predictions and not problems:
            problems = ["nobody speaks in it"]
        yield Outcome(recording, timeline.predictions, problems)
