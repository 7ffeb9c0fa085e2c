"""Pretrained encoders: frozen, cached and fine-tuned."""

import os
import pickle
import shutil
from functools import partial

import pytest
import torch
import transformers
from helpers import tiny_models
from helpers.corpora import utterance, write_wav
from helpers.encoders import (
    FRONT_ENDS,
    WORDS,
    draw_audio,
    front_end,
    pretrained_words,
)

from speechbrain.integrations.huggingface.wavlm import WavLM
from speechbrain_can.alignment.words import Word
from speechbrain_can.encoders import text as pretrained_text
from speechbrain_can.encoders.hub import PretrainedError
from speechbrain_can.encoders.speech import FrontEnd, PretrainedFrames
from speechbrain_can.encoders.text import PretrainedWords, StoredWords
from speechbrain_can.features.cache import FeatureCache
from speechbrain_can.features.egemaps import SegmentEgemaps
from speechbrain_can.features.hidden import SegmentHidden
from speechbrain_can.features.samples import SegmentSamples
from speechbrain_can.features.segments import aligned_segments
from speechbrain_can.lobes.audio import LayerWeights
from speechbrain_can.lobes.pooling import AttentionPooling, MeanPooling
from speechbrain_can.lobes.ragged import WordFrames

pytestmark = pytest.mark.training


def test_words_on_the_frame_grid(tiny):
    """A frame whose center is on the boundary of two words belongs to the second one."""
    frames = PretrainedFrames(front_end(tiny, "whisper"), freeze=True)
    sample_counts = 320 * torch.randint(1, 6, (300,))
    audio = WordFrames(
        torch.randn(int(sample_counts.sum()), 1),
        sample_counts,
        torch.tensor([300]),
    )
    assert torch.equal(frames(audio).frame_counts, sample_counts // 320)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_cached_layers_equal_front_end(name, tiny):
    """Cached and computed hidden states of a frozen encoder are equal."""
    waveform = torch.randn(30000)
    segments = torch.tensor([[0.0, 0.31], [0.31, 0.32], [0.32, 1.7]])
    stored, stored_counts = SegmentHidden(front_end(tiny, name))(
        waveform, segments
    )
    assert stored_counts.tolist() == [1, 1, 1]
    samples, sample_counts = SegmentSamples()(waveform, segments)
    frames = PretrainedFrames(front_end(tiny, name), freeze=True).train()
    # The utterance ends with its last segment.
    stored, _ = SegmentHidden(front_end(tiny, name))(
        waveform[: len(samples)], segments
    )
    audio = WordFrames(samples, sample_counts, torch.tensor([3]))
    heard = frames(audio)
    pooled = MeanPooling(tiny_models.HIDDEN)(heard.frames, heard.frame_counts)
    layers = LayerWeights(len(frames.layer_weights.scores), stored.shape[1])
    mixed = layers(
        WordFrames(stored, torch.ones(3, dtype=int), torch.tensor([3]))
    )
    torch.testing.assert_close(pooled, mixed.frames, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["wav2vec2", "hubert", "wavlm"])
def test_front_end_frames_match_their_positions(name, tiny):
    """A click changes only the frames whose centers are near it."""
    hearing = FrontEnd(front_end(tiny, name))
    # without normalization, which depends on the whole utterance
    convolutions = [
        layer.conv
        for layer in hearing.encoder.model.feature_extractor.conv_layers
    ]
    waveform = torch.zeros(2, 1, 16000)
    waveform[1, 0, 8010] = 1.0
    frames = torch.nn.Sequential(*convolutions)(waveform)
    (touched,) = (frames[0] - frames[1]).abs().sum(0).nonzero(as_tuple=True)
    centers = hearing.first + hearing.hop * touched
    reach = hearing.reach_samples / 2 / 16000
    assert len(touched) in (1, 2)
    assert (centers - 8010 / 16000).abs().max() <= reach + 1e-6


def test_frozen_whisper_is_unchanged(tiny):
    for name in ("bert", "roberta"):
        frozen = pretrained_words(tiny, name).train()
        assert not frozen.state_dict() and not list(frozen.parameters())
        assert not frozen.encoder.training
        vectors = frozen(WORDS)
        assert not vectors.requires_grad
        # encoded once: cached values are identical
        assert torch.equal(vectors, frozen(WORDS))
        trained = pretrained_words(tiny, name, freeze=False).train()
        trained(WORDS).sum().backward()
        embedding = trained.encoder.model.get_input_embeddings()
        assert embedding.weight.grad.abs().sum() > 0
        torch.testing.assert_close(
            trained.eval()(WORDS), vectors, atol=1e-5, rtol=1e-4
        )
    audio = draw_audio([["a", "b"]], 1)
    for freeze in (True, False):
        frames = PretrainedFrames(front_end(tiny, "wavlm"), freeze=freeze)
        frames.train()
        frames(audio).frames.square().sum().backward()
        extractor = frames.front_end.encoder.model.feature_extractor
        convolution = extractor.conv_layers[0].conv.weight
        assert (convolution.grad is None) == freeze
        assert frames.front_end.encoder.training != freeze
        assert frames.layer_weights.scores.grad.abs().sum() > 0


def test_frozen_text_is_encoded_once(tiny, tmp_path, monkeypatch):
    """Other folds, systems and processes use the cached words."""

    def new(**options):
        return StoredWords(str(tiny / "bert"), str(tmp_path), **options)

    def forgetful(words):
        for parameter in words.encoder.parameters():
            parameter.zero_()
        return words

    first = new()
    vectors = first(WORDS[:3])
    assert torch.equal(forgetful(new())(WORDS[:3]), vectors)
    # in another order, with other utterances
    found = forgetful(new())([WORDS[3], WORDS[1], WORDS[1]])
    assert torch.equal(found[-8:-4], vectors[2:6])
    assert torch.equal(found[-4:], vectors[2:6])
    # cached values are used
    unstored = PretrainedWords(str(tiny / "bert"), str(tmp_path)).train()
    torch.testing.assert_close(unstored(WORDS[:3]), vectors)
    # other poolings need a different cache
    forgotten = forgetful(new(pooling=AttentionPooling))(WORDS[:3])
    assert not torch.equal(forgotten, vectors)
    monkeypatch.setattr(pretrained_text, "STORED_UNTRAINED", 0)
    unheard = [["unheard"]]
    predicted = first.eval()(unheard)
    assert not torch.equal(forgetful(new())(unheard), predicted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_models_in_half_precision(dtype, tiny, tmp_path):
    """Models stored in half precision are used in single precision."""
    for name in ("bert", "wavlm", "whisper"):
        shutil.copytree(tiny / name, tmp_path / name)
        model = transformers.AutoModel.from_pretrained(tiny / name)
        model.to(dtype).save_pretrained(tmp_path / name)
    for freeze in (True, False):
        words = pretrained_words(tmp_path, "bert", freeze=freeze)
        assert words(WORDS).dtype == torch.float32
        for name in ("wavlm", "whisper"):
            hearing = FrontEnd(front_end(tmp_path, name), freeze=freeze)
            assert hearing(torch.randn(2000)).dtype == torch.float32


def test_a_text_model_with_a_decoder(tiny):
    with pytest.raises(PretrainedError, match="is an encoder-decoder model"):
        pretrained_words(tiny, "t5")


def test_frozen_encoder_moves_between_devices(tiny):
    words = pretrained_words(tiny, "bert").double()
    assert next(words.encoder.parameters()).dtype == torch.double
    assert words(WORDS).dtype == torch.double


def test_a_long_utterance_is_read_in_pieces(tiny):
    words = pretrained_words(tiny, "bert", freeze=False).eval()
    pieces = words._cut(WORDS[3])
    assert [word for piece in pieces for word in piece] == WORDS[3]
    assert len(pieces) > 1
    parts = torch.cat([words([piece]) for piece in pieces])
    torch.testing.assert_close(words([WORDS[3]]), parts)
    # only the first subwords of words that do not fit are encoded
    long = "x" * 200
    vector = pretrained_words(tiny, "roberta")([["oh", long, "no"]])
    assert vector.shape == (3, tiny_models.HIDDEN)
    assert vector.isfinite().all()


def test_a_word_without_subwords_is_unknown(tiny):
    words = pretrained_words(tiny, "bert")
    vectors = words([["oh", "\u200b", ""], ["oh", "[UNK]", "[UNK]"]])
    assert torch.equal(vectors[:3], vectors[3:])


def test_long_audio_is_split_for_whisper(tiny):
    hearing = FrontEnd(front_end(tiny, "whisper"))
    waveform = 0.1 * torch.randn(480000 + 8000)
    frames = hearing(waveform)
    assert len(frames) == 1500 + 25
    torch.testing.assert_close(
        frames[1500:], hearing(waveform[480000:]), atol=1e-5, rtol=1e-4
    )


def test_a_model_that_cannot_be_loaded(tmp_path):
    with pytest.raises(PretrainedError, match="nowhere/none.*a folder that"):
        PretrainedWords("nowhere/none", str(tmp_path))
    build = partial(WavLM, source="nowhere/none", save_path=str(tmp_path))
    for part in (SegmentHidden, PretrainedFrames, FrontEnd):
        with pytest.raises(PretrainedError, match="nowhere/none"):
            part(build)


def test_cache_depends_on_the_model_files(tiny, tmp_path):
    shutil.copytree(tiny / "wavlm", tmp_path / "wavlm")
    build = partial(
        WavLM, source=str(tmp_path / "wavlm"), save_path=str(tmp_path)
    )
    before = repr(SegmentHidden(build))
    assert repr(SegmentHidden(build)) == before
    weights = tmp_path / "wavlm" / "model.safetensors"
    os.utime(weights, (0, 0))
    assert repr(SegmentHidden(build)) != before


def test_cache_depends_on_the_commit(tiny, tmp_path):
    """Names are looked up in the cache of the hub."""
    cache = tmp_path / "models--someone--wavlm"
    found = []
    for commit in ("1" * 40, "2" * 40):
        shutil.copytree(tiny / "wavlm", cache / "snapshots" / commit)
        (cache / "refs").mkdir(exist_ok=True)
        (cache / "refs" / "main").write_text(commit)
        build = partial(WavLM, source="someone/wavlm", save_path=str(tmp_path))
        found.append(repr(SegmentHidden(build)))
        assert commit in found[-1]
    assert found[0] != found[1]


def test_workers_do_not_share_a_gpu(tiny):
    features = SegmentHidden(front_end(tiny, "wavlm"), device="cuda:0")
    loader = torch.utils.data.DataLoader(
        [(torch.randn(16000), torch.tensor([[0.0, 1.0]]))],
        batch_size=None,
        num_workers=1,
        collate_fn=lambda utterance: features(*utterance),
    )
    with pytest.raises(PretrainedError, match="Set --feature_workers=0"):
        next(iter(loader))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_gpu_features_equal_cpu_features(tiny):
    utterance = (torch.randn(16000), torch.tensor([[0.0, 0.5], [0.5, 1.0]]))
    on_cpu, on_gpu = (
        SegmentHidden(front_end(tiny, "wavlm"), device=device)
        for device in ("cpu", "cuda")
    )
    assert repr(on_cpu) == repr(on_gpu)
    torch.testing.assert_close(
        on_gpu(*utterance), on_cpu(*utterance), atol=1e-3, rtol=1e-3
    )


def test_cached_features_are_not_held_in_memory(tiny, tmp_path):
    write_wav(tmp_path / "a.wav", 1.0)
    features = SegmentHidden(front_end(tiny, "wavlm"))
    store = FeatureCache.build(
        tmp_path / "features",
        {"a": utterance("a", [Word("so", 0.0, 1.0)], duration=1.0)},
        tmp_path,
        features,
        aligned_segments,
    )
    assert store["a"][0].shape == (1, features.output_size)
    assert not features._front_end


@pytest.mark.parametrize("used", [False, True])
def test_features_can_be_sent_to_workers(used, tiny):
    for features in (SegmentHidden(front_end(tiny, "wavlm")), SegmentEgemaps()):
        waveform, segments = torch.randn(16000), torch.tensor([[0.0, 1.0]])
        if used:
            features(waveform, segments)
        sent = pickle.loads(pickle.dumps(features))
        assert repr(sent) == repr(features)
        torch.testing.assert_close(
            sent(waveform, segments)[0], features(waveform, segments)[0]
        )


def test_front_end_with_different_sample_rate(tiny):
    with pytest.raises(PretrainedError, match="Set --sample_rate=16000"):
        FrontEnd(front_end(tiny, "wavlm"), sample_rate=8000)
    with pytest.raises(PretrainedError, match="16000 Hz instead of 44100"):
        SegmentHidden(front_end(tiny, "hubert"), 44100)(
            torch.randn(44100), torch.tensor([[0.0, 1.0]])
        )
