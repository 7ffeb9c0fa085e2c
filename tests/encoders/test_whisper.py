"""Trimmed Whisper, its word embeddings and its decoder."""

from dataclasses import replace
from functools import partial

import pytest
import torch
import transformers
from helpers.corpora import build_store
from helpers.encoders import WORDS, front_end
from helpers.seeds import shifted

from speechbrain.integrations.huggingface.whisper import Whisper
from speechbrain_can.encoders.hub import PretrainedError
from speechbrain_can.encoders.speech import FrontEnd, PretrainedFrames
from speechbrain_can.encoders.whisper import (
    TrimmedWhisper,
    WhisperWords,
    word_subwords,
)
from speechbrain_can.features.egemaps import SegmentEgemaps
from speechbrain_can.features.hidden import SegmentHidden, SegmentWhisper
from speechbrain_can.features.joined import JoinedFeatures
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.lobes.ragged import WordFrames

pytestmark = pytest.mark.training

CLOSE = {"atol": 1e-5, "rtol": 1e-4}
# seconds, padded to 0.5, 0.5, 1, 1.5 and two pieces
LENGTHS = (0.01, 0.5, 0.51, 1.4, 30.7)


def speech(seconds, seed=0):
    generator = torch.Generator().manual_seed(shifted(seed))
    return 0.1 * torch.randn(round(16000 * seconds), generator=generator)


def whisper_with_decoder(tiny):
    return partial(
        TrimmedWhisper,
        source=str(tiny / "whisper"),
        save_path=str(tiny / "save"),
        output_all_hiddens=True,
    )


def test_cut_is_a_whisper_made_for_so_many_positions(tiny):
    """The result equals a model of transformers with fewer positions and the same weights."""
    hearing = FrontEnd(front_end(tiny, "cut"))
    state = hearing.encoder.model.state_dict()
    config = transformers.WhisperConfig.from_pretrained(tiny / "whisper")
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(
        tiny / "whisper"
    )
    config.max_source_positions = 75
    state["encoder.embed_positions.weight"] = state[
        "encoder.embed_positions.weight"
    ][:75]
    short = transformers.WhisperModel(config)
    short.load_state_dict(
        {
            **state,
            **{k: v for k, v in short.state_dict().items() if "decoder" in k},
        }
    )
    waveform = speech(1.4)
    # 1.4 s are padded to 1.5 s
    mel = extractor(
        torch.nn.functional.pad(waveform, (0, 1600)).numpy(),
        sampling_rate=16000,
        padding="do_not_pad",
        return_tensors="pt",
    ).input_features
    expected = short.eval().encoder(mel, output_hidden_states=True)
    heard = hearing(waveform).unflatten(1, (3, -1)).transpose(0, 1)
    for layer, found in zip(expected.hidden_states, heard):
        torch.testing.assert_close(found, layer[0, :70], atol=1e-4, rtol=1e-3)


def test_thirty_seconds_are_not_truncated(tiny):
    waveform = speech(30.0)
    whole, cut = (
        FrontEnd(front_end(tiny, name))(waveform) for name in ("whisper", "cut")
    )
    torch.testing.assert_close(cut, whole, **CLOSE)


def test_whisper_does_not_depend_on_the_batch(tiny):
    hearing = FrontEnd(front_end(tiny, "cut"))
    # a loud and a soft utterance, in both orders
    waveforms = [speech(s, seed=i) for i, s in enumerate(LENGTHS * 2)]
    waveforms[1] *= 30
    alone = [hearing(waveform) for waveform in waveforms]
    for order in (list(range(10)), list(range(9, -1, -1))):
        heard = hearing.encode([waveforms[i] for i in order])
        for i, frames in zip(order, heard):
            torch.testing.assert_close(frames, alone[i], **CLOSE)
    assert [len(frames) for frames in alone[:4]] == [1, 25, 26, 70]
    assert len(alone[4]) == 1500 + 35


def test_positions_are_given_back_after_an_error(tiny):
    whisper = FrontEnd(front_end(tiny, "cut")).encoder
    with pytest.raises(RuntimeError):
        whisper.forward_encoder(torch.zeros(1, 3, 100))
    encoder = whisper.model.encoder
    assert encoder.embed_positions.num_embeddings == 1500
    assert encoder.config.max_source_positions == 1500


@pytest.mark.parametrize("deviation", [False, True])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_batched_cache_equals_single_utterances(
    deviation, num_workers, tiny, small_corpus, tmp_path
):
    options = {"deviation": deviation}
    batched, single = (
        SegmentHidden(front_end(tiny, "cut"), batch_size=size, **options)
        for size in (2, 1)
    )
    store = build_store(
        tmp_path,
        small_corpus,
        compute_features=batched,
        num_workers=num_workers,
    )
    other = build_store(
        tmp_path / "single",
        small_corpus,
        compute_features=single,
        data_folder=tmp_path / "corpus",
    )
    for name in small_corpus:
        for found, expected in zip(store[name], other[name]):
            torch.testing.assert_close(found, expected, **CLOSE)
    for found, expected in zip(
        store.statistics(["c", "a"]), other.statistics(["a", "c"])
    ):
        torch.testing.assert_close(found, expected, **CLOSE)


def test_deviations_follow_the_means(tiny):
    waveform, segments = speech(1.0), torch.tensor([[0.0, 0.3], [0.3, 1.0]])
    build = front_end(tiny, "cut")
    frames, counts = SegmentHidden(build, pooled=False)(waveform, segments)
    pooled, _ = SegmentHidden(build, deviation=True)(waveform, segments)
    for word, own in zip(pooled, frames.split(counts.tolist())):
        for layer, (mean, deviation) in zip(
            own.unflatten(1, (3, -1)).unbind(1), word.unflatten(0, (3, 2, -1))
        ):
            torch.testing.assert_close(mean, layer.mean(0), **CLOSE)
            expected = layer.std(0, unbiased=False)
            torch.testing.assert_close(
                deviation, expected, atol=1e-4, rtol=1e-3
            )
    with pytest.raises(ValueError, match="Set pooled: True"):
        SegmentHidden(build, pooled=False, deviation=True)


def test_words_are_means_of_their_subwords(tiny):
    words = WhisperWords(str(tiny / "whisper"), str(tiny / "save"))
    model = transformers.WhisperModel.from_pretrained(tiny / "whisper")
    table = model.decoder.embed_tokens.weight
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny / "whisper")
    vectors = words(WORDS)
    flat = [word for utterance in WORDS for word in utterance]
    assert vectors.shape == (len(flat), words.output_size)
    for word, vector in zip(flat, vectors):
        subwords = tokenizer.encode(f" {word}", add_special_tokens=False)
        torch.testing.assert_close(vector, table[subwords].mean(0), **CLOSE)
    assert not words.state_dict() and not list(words.parameters())


def test_decoder_states_depend_on_the_audio(tiny):
    """The result equals one pass of transformers if all tokens fit."""
    features = SegmentWhisper(whisper_with_decoder(tiny))
    waveform, words = speech(30.0), ["oh", "really"]
    segments = torch.tensor([[0.0, 14.0], [14.0, 30.0]])
    frames, counts = features(waveform, segments, words)
    assert counts.tolist() == [1, 1]
    assert frames.shape == (2, features.output_size)
    model = transformers.WhisperModel.from_pretrained(tiny / "whisper").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny / "whisper")
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(
        tiny / "whisper"
    )
    mel = extractor(
        waveform.numpy(), sampling_rate=16000, return_tensors="pt"
    ).input_features
    subwords = word_subwords(tokenizer, words)
    names = ["<|startoftranscript|>", "<|notimestamps|>"]
    prefix = tokenizer.convert_tokens_to_ids(names)
    states = model(
        input_features=mel,
        decoder_input_ids=torch.tensor([[*prefix, *sum(subwords, [])]]),
    ).last_hidden_state[0, 2:]
    parts = states.split([len(each) for each in subwords])
    for row, part in zip(frames, parts):
        expected = part.mean(0)
        text = row[: features.text_size]
        torch.testing.assert_close(text, expected, atol=1e-3, rtol=1e-3)
    audio, _ = SegmentHidden(front_end(tiny, "cut"))(waveform, segments)
    torch.testing.assert_close(frames[:, features.text_size :], audio, **CLOSE)


def test_more_tokens_than_decoder_positions(tiny):
    features = SegmentWhisper(whisper_with_decoder(tiny))
    words = ["wonderful", "really", "x" * 60] * 4
    bounds = torch.linspace(0, 2, len(words) + 1)
    segments = torch.stack([bounds[:-1], bounds[1:]], dim=1)
    frames, _ = features(speech(2.0), segments, words)
    assert (
        frames.shape == (12, features.output_size) and frames.isfinite().all()
    )


def test_stored_states_depend_on_the_words(tiny, small_corpus, tmp_path):
    features = SegmentWhisper(whisper_with_decoder(tiny))
    first = build_store(tmp_path, small_corpus, compute_features=features)
    for name, row in small_corpus.items():
        words = [replace(word, text="really") for word in row.words]
        small_corpus[name] = replace(row, words=words)
    second = build_store(tmp_path, small_corpus, compute_features=features)
    size = features.text_size
    for name in small_corpus:
        old, new = first[name][0], second[name][0]
        assert not torch.allclose(old[:, :size], new[:, :size])
        torch.testing.assert_close(old[:, size:], new[:, size:], **CLOSE)


def test_joined_features(tiny):
    hidden, egemaps = SegmentHidden(front_end(tiny, "cut")), SegmentEgemaps()
    waveform, segments = speech(1.0), torch.tensor([[0.0, 0.3], [0.3, 1.0]])
    both, counts = JoinedFeatures([hidden, egemaps])(waveform, segments)
    left, right = both.split([hidden.output_size, 88], dim=1)
    torch.testing.assert_close(left, hidden(waveform, segments)[0], **CLOSE)
    assert torch.equal(right, egemaps(waveform, segments)[0])
    frames = SegmentHidden(front_end(tiny, "cut"), pooled=False)
    with pytest.raises(
        ValueError, match="SegmentHidden returns several frames"
    ):
        JoinedFeatures([egemaps, frames])(waveform, segments)


def test_only_the_upper_layers_are_trained(tiny):
    build = front_end(tiny, "cut")
    frames = PretrainedFrames(build, trained_layers=1).train()
    audio = WordFrames(
        speech(1.0)[:, None], torch.tensor([6400, 9600]), torch.tensor([2])
    )
    frames(audio).frames.square().sum().backward()
    encoder = frames.front_end.encoder.model.encoder
    moved = {
        name
        for name, parameter in encoder.named_parameters()
        if parameter.grad is not None
    }
    upper = {
        *(
            f"layers.1.{name}"
            for name, _ in encoder.layers[1].named_parameters()
        ),
        *("layer_norm.weight", "layer_norm.bias"),
    }
    assert moved == upper
    with pytest.raises(PretrainedError, match="the model has only 2 layers"):
        PretrainedFrames(build, trained_layers=3)


@pytest.mark.parametrize("name", ["cut", "wavlm"])
def test_gradient_checkpointing_changes_no_gradient(tiny, name):
    audio = WordFrames(
        speech(1.0)[:, None], torch.tensor([6400, 9600]), torch.tensor([2])
    )
    gradients = []
    for checkpointing in (False, True):
        frames = PretrainedFrames(
            front_end(tiny, name), gradient_checkpointing=checkpointing
        ).train()
        model = frames.front_end.encoder.model
        assert model.is_gradient_checkpointing == checkpointing
        torch.manual_seed(0)
        frames(audio).frames.square().sum().backward()
        gradients.append(
            {
                n: p.grad
                for n, p in frames.named_parameters()
                if p.grad is not None
            }
        )
    assert gradients[0].keys() == gradients[1].keys()
    for key, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], gradient, **CLOSE)


def test_real_whisper_layers(whisper, data, tmp_path):
    options = {
        "source": str(whisper / "hf"),
        "save_path": str(tmp_path),
        "encoder_only": True,
        "output_all_hiddens": True,
    }
    whole, cut = (
        FrontEnd(partial(kind, **options)) for kind in (Whisper, TrimmedWhisper)
    )
    path = sorted((data / "emodb" / "wav").glob("*.wav"))[0]
    waveform = read_waveform(path, 16000)
    layers, short = (
        hearing(waveform).unflatten(1, (7, -1)).transpose(0, 1)
        for hearing in (whole, cut)
    )
    for expected, found in zip(layers, short):
        similar = torch.nn.functional.cosine_similarity(expected, found, dim=1)
        assert similar.mean() > 0.9
