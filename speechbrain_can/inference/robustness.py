"""Robustness: the scores of a test set under changes of its recordings."""

import io
import random
from dataclasses import replace
from functools import partial
from typing import Any, Callable, Sequence

import numpy as np
import soundfile
import torch

from speechbrain.augment.augmenter import Augmenter
from speechbrain.augment.time_domain import AddNoise, SpeedPerturb
from speechbrain.processing.signal_processing import reverberate
from speechbrain_can.alignment.pipeline import FoundWords
from speechbrain_can.corpus.manifest import Utterance
from speechbrain_can.features.augmentation import (
    TelephoneBand,
    augment_speech,
    drawn_from,
)
from speechbrain_can.features.conditioning import SpeechConditioning
from speechbrain_can.inference.evaluation import TestSet, predict_test_set
from speechbrain_can.inference.recognizer import EmotionRecognizer

QUIET = 1e-4  # amplitude of the noise in added silence
REVERBERATION = 0.5  # seconds until the reverberation has decreased by 60 dB

# A change maps waveform [samples], words and sample rate to a waveform and words.
Change = Callable[
    [torch.Tensor, FoundWords, int], tuple[torch.Tensor, FoundWords]
]


def silence_trimmed(
    waveform: torch.Tensor, words: FoundWords, rate: int, seconds: float
) -> tuple[torch.Tensor, FoundWords]:
    """Leave at most some seconds of silence at the edges."""
    trim = SpeechConditioning(rate, margin=seconds, level=None)
    trimmed, moved = trim(waveform, words.tiled())
    return trimmed, _with_words(words, moved)


def silence_added(
    waveform: torch.Tensor, words: FoundWords, rate: int, seconds: float
) -> tuple[torch.Tensor, FoundWords]:
    """Add some seconds of almost silent noise at both edges."""
    added = QUIET * torch.randn(2, round(seconds * rate))
    longer = torch.cat([added[0], waveform, added[1]])
    first, *rest = words.tiled()
    moved = [
        replace(
            word,
            start=word.start + seconds if word in rest else 0.0,
            end=word.end + seconds,
        )
        for word in (first, *rest)
    ]
    moved[-1] = replace(moved[-1], end=len(longer) / rate)
    return longer, _with_words(words, moved)


def level_changed(
    waveform: torch.Tensor, words: FoundWords, rate: int, decibels: float
) -> tuple[torch.Tensor, FoundWords]:
    """Change the level and clip the samples."""
    return (waveform * 10 ** (decibels / 20)).clamp(-1, 1), words


def telephone(
    waveform: torch.Tensor, words: FoundWords, rate: int
) -> tuple[torch.Tensor, FoundWords]:
    """Restrict the audio to the band of a telephone."""
    return TelephoneBand(rate)(waveform[None])[0], words


def augmented(
    waveform: torch.Tensor,
    words: FoundWords,
    rate: int,
    build: Callable[[int], torch.nn.Module],
) -> tuple[torch.Tensor, FoundWords]:
    """Apply an augmentation of SpeechBrain."""
    augment = Augmenter(
        min_augmentations=1, max_augmentations=1, augmentations=[build(rate)]
    )
    changed, moved = augment_speech(waveform, words.tiled(), augment)
    return changed, _with_words(words, moved)


def noise(decibels: float, rate: int) -> torch.nn.Module:
    """Return white noise at a signal-to-noise ratio."""
    return AddNoise(snr_low=decibels, snr_high=decibels)


def speed(percent: int, rate: int) -> torch.nn.Module:
    """Return a change of speed, which also changes the pitch."""
    return SpeedPerturb(rate, speeds=[percent])


def reverberated(
    waveform: torch.Tensor, words: FoundWords, rate: int
) -> tuple[torch.Tensor, FoundWords]:
    """Add the reverberation of a simulated room with exponential decay."""
    time = torch.arange(round(REVERBERATION * rate)) / rate
    response = torch.randn(len(time)) * 10 ** (-3 * time / REVERBERATION)
    response = 0.1 * response
    response[0] = 1.0
    changed = reverberate(waveform[None], response, rescale_amp="avg")
    return changed[0], words


def compressed(
    waveform: torch.Tensor,
    words: FoundWords,
    rate: int,
    format: str,
    subtype: str,
) -> tuple[torch.Tensor, FoundWords]:
    """Encode with a lossy codec at the default bit rate of libsndfile, and decode."""
    buffer = io.BytesIO()
    samples = waveform.clamp(-1, 1).numpy()
    soundfile.write(buffer, samples, rate, format=format, subtype=subtype)
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    changed = np.zeros(len(samples), dtype=np.float32)
    changed[: len(decoded)] = decoded[: len(samples)]
    return torch.from_numpy(changed), words


def words_replaced(
    waveform: torch.Tensor,
    words: FoundWords,
    rate: int,
    share: float,
    vocabulary: Sequence[str],
) -> tuple[torch.Tensor, FoundWords]:
    """Replace a share of the words by other words of the corpus."""
    changed = [
        replace(word, text=random.choice(vocabulary))
        if random.random() < share
        else word
        for word in words.words
    ]
    return waveform, words._replace(words=changed)


def recognized(
    waveform: torch.Tensor,
    words: FoundWords,
    rate: int,
    recognizer: EmotionRecognizer,
) -> tuple[torch.Tensor, FoundWords]:
    """Replace the words by those that the model's speech recognizer finds."""
    return waveform, recognizer.find_words(waveform)


def _with_words(words: FoundWords, moved: list) -> FoundWords:
    """Return found words with other times; the words tile the utterance."""
    return words._replace(words=moved, end=moved[-1].end)


def changes(
    recognizer: EmotionRecognizer, vocabulary: Sequence[str]
) -> dict[str, Change | None]:
    """Return the changes of the report by name; None changes nothing."""
    noisy = {
        f"noise at {decibels} dB SNR": partial(
            augmented, build=partial(noise, decibels)
        )
        for decibels in (20, 10, 5)
    }
    return {
        "none": None,
        "silence trimmed to 0.05 s": partial(silence_trimmed, seconds=0.05),
        "silence trimmed to 0.1 s": partial(silence_trimmed, seconds=0.1),
        "silence trimmed to 0.5 s": partial(silence_trimmed, seconds=0.5),
        "1 s of silence added": partial(silence_added, seconds=1.0),
        "2 s of silence added": partial(silence_added, seconds=2.0),
        "level +12 dB, clipped": partial(level_changed, decibels=12),
        "level +9 dB, clipped": partial(level_changed, decibels=9),
        "level -12 dB": partial(level_changed, decibels=-12),
        "level -15 dB": partial(level_changed, decibels=-15),
        "telephone band": telephone,
        **noisy,
        "MP3, 32 kbit/s": partial(
            compressed, format="MP3", subtype="MPEG_LAYER_III"
        ),
        "Opus, 25 kbit/s": partial(compressed, format="OGG", subtype="OPUS"),
        "speed 90%": partial(augmented, build=partial(speed, 90)),
        "speed 110%": partial(augmented, build=partial(speed, 110)),
        "reverberation, 0.5 s": reverberated,
        "10% of words wrong": partial(
            words_replaced, share=0.1, vocabulary=vocabulary
        ),
        "30% of words wrong": partial(
            words_replaced, share=0.3, vocabulary=vocabulary
        ),
        "words from the speech recognizer": partial(
            recognized, recognizer=recognizer
        ),
    }


def robustness(
    recognizer: EmotionRecognizer,
    test_set: TestSet,
) -> list[tuple[str, Any, dict[str, str]]]:
    """Predict a test set under each change of its recordings.

    Random numbers depend on the utterance and the change only. Returns the name of
    each change, its predictions, and the reasons for utterances without one.
    """
    vocabulary = sorted(
        {word.text for each in test_set.utterances for word in each.words}
    )
    found = []
    for name, change in changes(recognizer, vocabulary).items():
        changed = None
        if change is not None:
            changed = partial(
                _changed, name=name, change=change, recognizer=recognizer
            )
        tables, refused = predict_test_set(recognizer, test_set, changed)
        found.append((name, tables[0], refused))
    return found


def _changed(
    utterance: Utterance,
    waveform: torch.Tensor,
    words: FoundWords,
    name: str,
    change: Change,
    recognizer: EmotionRecognizer,
) -> tuple[torch.Tensor, FoundWords]:
    """Apply a change to an utterance with its own random numbers."""
    with drawn_from(f"{name} {utterance.utterance_id}"):
        return change(waveform, words, recognizer.sample_rate)
