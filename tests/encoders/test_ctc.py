"""Tiny untrained CTC models of the real libraries in an aligner."""

import json
import pickle

import pytest
import torch
from helpers.seeds import shifted

from speechbrain.dataio.encoder import CTCTextEncoder
from speechbrain_can.alignment.aligners.ctc import CTCAligner
from speechbrain_can.alignment.words import AlignmentError
from speechbrain_can.encoders.ctc import HuggingFaceCTC, SpeechBrainCTC
from speechbrain_can.encoders.hub import PretrainedError

pytestmark = pytest.mark.training

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ'"


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory):
    import transformers
    from helpers.tiny_models import CONVOLUTIONS, TRANSFORMER

    folder = tmp_path_factory.mktemp("ctc")
    vocabulary = ["<pad>", "<s>", "</s>", "<unk>", "|", *LETTERS]
    (folder / "vocab.json").write_text(
        json.dumps({token: i for i, token in enumerate(vocabulary)})
    )
    transformers.Wav2Vec2CTCTokenizer(folder / "vocab.json").save_pretrained(
        folder
    )
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    torch.manual_seed(shifted(0))
    transformers.Wav2Vec2ForCTC(
        transformers.Wav2Vec2Config(
            vocab_size=len(vocabulary),
            pad_token_id=0,
            **{**TRANSFORMER, **CONVOLUTIONS},
        )
    ).save_pretrained(folder)
    return str(folder)


SPEECHBRAIN = """
tokenizer: !new:speechbrain.dataio.encoder.CTCTextEncoder
features: !new:speechbrain.lobes.features.Fbank
    n_mels: 8
linear: !new:speechbrain.nnet.linear.Linear
    input_size: 8
    n_neurons: 6
log_softmax: !new:speechbrain.nnet.activations.Softmax
    apply_log: True
encoder: !new:speechbrain.nnet.containers.LengthsCapableSequential
    features: !ref <features>
    linear: !ref <linear>
    log_softmax: !ref <log_softmax>
modules:
    encoder: !ref <encoder>
blank_index: 0
decoding_function: !name:speechbrain.decoders.ctc_greedy_decode
    blank_id: !ref <blank_index>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        linear: !ref <linear>
        tokenizer: !ref <tokenizer>
"""


@pytest.fixture(scope="module")
def speechbrain(tmp_path_factory):
    from speechbrain.nnet.linear import Linear

    folder = tmp_path_factory.mktemp("encoder_asr")
    (folder / "hyperparams.yaml").write_text(SPEECHBRAIN)
    tokenizer = CTCTextEncoder()
    tokenizer.insert_blank(index=0)
    tokenizer.update_from_iterable(list("so wh"), sequence_input=False)
    tokenizer.save(folder / "tokenizer.ckpt")
    linear = Linear(input_size=8, n_neurons=6)
    torch.save(linear.state_dict(), folder / "linear.ckpt")
    return str(folder)


def test_hugging_face(hugging_face):
    align = CTCAligner(HuggingFaceCTC(hugging_face))
    words = align(torch.randn(16000), "So, what's up?")
    assert [word.text for word in words] == ["so", "what's", "up"]
    bounds = [time for word in words for time in (word.start, word.end)]
    assert bounds == sorted(bounds) and bounds[-1] <= 1.0
    assert all(0 < word.score < 1 for word in words)
    with pytest.raises(AlignmentError, match="cannot spell 42. Write numbers"):
        align(torch.randn(16000), "so 42")


def test_transcriber_equals_its_model(hugging_face):
    import transformers

    waveform = torch.randn(16000)
    found = HuggingFaceCTC(hugging_face)(waveform)
    model = transformers.Wav2Vec2ForCTC.from_pretrained(hugging_face).eval()
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(
        hugging_face
    )
    features = extractor(
        waveform.numpy(), sampling_rate=16000, return_tensors="pt"
    )
    with torch.no_grad():
        expected = model(**features).logits[0].log_softmax(-1)
    assert torch.allclose(found, expected, atol=1e-5)


def test_speechbrain(speechbrain, tmp_path):
    model = SpeechBrainCTC(speechbrain, savedir=str(tmp_path))
    words = CTCAligner(model)(torch.randn(16000), "so who")
    assert [word.text for word in words] == ["so", "who"]
    assert words[0].end <= words[1].start
    with pytest.raises(AlignmentError, match="cannot spell what"):
        CTCAligner(model)(torch.randn(16000), "so what")


def test_pickles_exclude_the_model(hugging_face):
    align = CTCAligner(HuggingFaceCTC(hugging_face))
    waveform = torch.randn(16000)
    expected = align(waveform, "so")
    content = pickle.dumps(align)
    assert len(content) < 2000
    assert pickle.loads(content)(waveform, "so") == expected


def test_missing_model(tmp_path):
    align = CTCAligner(HuggingFaceCTC(str(tmp_path / "nowhere")))
    with pytest.raises(PretrainedError, match="nowhere' cannot be loaded"):
        align(torch.randn(16000), "so")
