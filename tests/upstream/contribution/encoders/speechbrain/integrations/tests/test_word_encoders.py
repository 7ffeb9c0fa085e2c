"""Word encoders with tiny pretrained models and random weights.

As a program it saves them in a folder, for tests of recipes.
"""

import sys
from functools import partial
from pathlib import Path

import pytest
import torch
import transformers
from helpers.tiny_models import save_bert, save_roberta, save_speech

from speechbrain.integrations.huggingface.hubert import HuBERT
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from speechbrain.integrations.huggingface.wavlm import WavLM
from speechbrain_can.encoders.hub import PretrainedError
from speechbrain_can.encoders.speech import FrontEnd, PretrainedFrames
from speechbrain_can.encoders.text import PretrainedWords
from speechbrain_can.features.samples import SegmentSamples
from speechbrain_can.lobes.ragged import WordFrames

WORDS = [["oh", "really"], ["don't", "ja", "für"], ["please"] * 30]
SPEECH = {
    "wav2vec2": (
        Wav2Vec2,
        transformers.Wav2Vec2Config,
        transformers.Wav2Vec2Model,
    ),
    "hubert": (HuBERT, transformers.HubertConfig, transformers.HubertModel),
    "wavlm": (WavLM, transformers.WavLMConfig, transformers.WavLMModel),
}


def save_models(folder):
    """Save every model in a folder of its name."""
    torch.manual_seed(0)
    folder = Path(folder)
    save_bert(folder / "bert")
    save_roberta(folder / "roberta")
    for name, (_, config_class, model_class) in SPEECH.items():
        save_speech(folder / name, config_class, model_class)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Return the folder of the tiny models."""
    return save_models(tmp_path_factory.mktemp("tiny"))


def front_end(tiny, name):
    """Return a front end as a YAML file builds it."""
    return partial(
        SPEECH[name][0],
        source=str(tiny / name),
        save_path=str(tiny / "save"),
        output_all_hiddens=True,
    )


def make_audio(sample_counts, word_counts):
    """Return random samples of words."""
    torch.manual_seed(0)
    return WordFrames(
        frames=torch.randn(sum(sample_counts), 1),
        frame_counts=torch.tensor(sample_counts),
        word_counts=torch.tensor(word_counts),
    )


@pytest.mark.parametrize("freeze", [True, False])
@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_words_do_not_depend_on_the_batch(tiny, name, freeze):
    """The result is the same alone and in a batch."""
    words = PretrainedWords(
        str(tiny / name), str(tiny / "save"), freeze=freeze
    ).eval()
    vectors = words(WORDS).split([len(utterance) for utterance in WORDS])
    for utterance, together in zip(WORDS, vectors):
        torch.testing.assert_close(
            words([utterance]), together, atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("name", SPEECH)
def test_frames_do_not_depend_on_the_batch(tiny, name):
    """The result is the same alone and in a batch."""
    frames = PretrainedFrames(front_end(tiny, name)).eval()
    audio = make_audio([4000, 100, 7000, 6000], [3, 1])
    together = frames(audio)
    alone = frames(
        WordFrames(
            frames=audio.frames[:11100],
            frame_counts=audio.frame_counts[:3],
            word_counts=torch.tensor([3]),
        )
    )
    assert (together.frame_counts > 0).all()
    assert torch.equal(together.frame_counts[:3], alone.frame_counts)
    torch.testing.assert_close(
        together.frames[: len(alone.frames)],
        alone.frames,
        atol=1e-5,
        rtol=1e-4,
    )


@pytest.mark.parametrize("freeze", [True, False])
def test_frozen_encoders_are_neither_trained_nor_saved(tiny, freeze):
    """Frozen encoders also have no dropout in training."""
    frames = PretrainedFrames(front_end(tiny, "wavlm"), freeze=freeze)
    frames.train()
    audio = make_audio([4000, 5000], [2])
    assert torch.equal(frames(audio).frames, frames(audio).frames) == freeze
    assert any("front_end" in key for key in frames.state_dict()) != freeze


def test_samples_of_words():
    """The samples of consecutive words have no gaps."""
    segments = torch.tensor([[0.0, 0.3], [0.3, 1.0]])
    waveform = torch.randn(16000)
    samples, counts = SegmentSamples()(waveform, segments)
    assert torch.equal(samples[:, 0], waveform)
    assert counts.tolist() == [4800, 11200]
    with pytest.raises(ValueError, match="overlap or have gaps"):
        SegmentSamples()(waveform, segments + torch.tensor([0.0, 0.1]))


def test_error_messages(tiny, tmp_path):
    """Errors name the model."""
    with pytest.raises(PretrainedError, match="nowhere/none.*a folder that"):
        PretrainedWords("nowhere/none", str(tmp_path))
    with pytest.raises(PretrainedError, match="at 16000 Hz instead of 8000"):
        FrontEnd(front_end(tiny, "wavlm"), sample_rate=8000)


if __name__ == "__main__":
    save_models(sys.argv[1])
