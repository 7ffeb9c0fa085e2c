"""Tiny pretrained encoders and their input."""

from functools import partial

import torch
from helpers.seeds import shifted

from speechbrain.integrations.huggingface.hubert import HuBERT
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from speechbrain.integrations.huggingface.wavlm import WavLM
from speechbrain.integrations.huggingface.whisper import Whisper
from speechbrain_can.encoders.text import PretrainedWords, StoredWords
from speechbrain_can.encoders.whisper import TrimmedWhisper
from speechbrain_can.lobes.ragged import WordFrames, count_words

# 24 subwords exceed the positions of the tiny models
WORDS = [
    ["oh", "really"],
    ["ja", "für", "你好", "don't"],
    ["please"],
    ["say", "it", "wonderful", "news", "you", "dare", "again"] * 4,
]


FRONT_ENDS = {
    "wav2vec2": partial(Wav2Vec2, output_all_hiddens=True),
    "hubert": HuBERT,
    "wavlm": partial(WavLM, output_all_hiddens=True),
    "whisper": partial(Whisper, encoder_only=True, output_all_hiddens=True),
    "cut": partial(TrimmedWhisper, encoder_only=True, output_all_hiddens=True),
}


def front_end(tiny, name):
    """Return the function that builds an encoder, as a YAML file names it."""
    folder = "whisper" if name == "cut" else name
    return partial(
        FRONT_ENDS[name],
        source=str(tiny / folder),
        save_path=str(tiny / "save"),
    )


def pretrained_words(tiny, name, freeze=True, **options):
    """Return a text encoder, with a cache if it is frozen."""
    build = StoredWords if freeze else partial(PretrainedWords, freeze=False)
    return build(str(tiny / name), str(tiny / "save"), **options)


def draw_audio(words, features, seed=0):
    """Draw flat frames of random words, or samples if there is one feature."""
    generator = torch.Generator().manual_seed(shifted(seed))
    low, high = (200, 3000) if features == 1 else (1, 30)
    counts = count_words(words)
    frame_counts = torch.randint(
        low, high, (int(counts.sum()),), generator=generator
    )
    frames = torch.randn(int(frame_counts.sum()), features, generator=generator)
    return WordFrames(frames, frame_counts, counts)
