"""The contract of encoders, and their modules compared with plain loops."""

import re

import pytest
import torch
import torchaudio
from helpers.encoders import (
    FRONT_ENDS,
    WORDS,
    draw_audio,
    front_end,
    pretrained_words,
)
from helpers.seeds import shifted

import speechbrain
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
from speechbrain_can.encoders.speech import PretrainedFrames
from speechbrain_can.features.egemaps import SegmentEgemaps
from speechbrain_can.features.samples import SegmentSamples
from speechbrain_can.features.spectral import SegmentFbank
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.lobes.audio import (
    FrameBLSTM,
    FramesAsStored,
    LayerWeights,
    WordEncoder,
    WordFrameBLSTM,
)
from speechbrain_can.lobes.convolutions import FrameECAPA, SubsampledFrameBLSTM
from speechbrain_can.lobes.pooling import (
    AttentionPooling,
    MeanPooling,
    frames_of_words,
)
from speechbrain_can.lobes.ragged import WordFrames
from speechbrain_can.lobes.subwords import SubwordEmbedding
from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding

pytestmark = pytest.mark.training


def subwords(tiny, **options):
    return SubwordEmbedding(
        tiny / "subwords", vocab_size=27, embedding_size=6, **options
    )


TEXT = {
    "words": lambda tiny: WordEmbedding(6),
    "subwords": subwords,
    "bert, frozen": lambda tiny: pretrained_words(tiny, "bert"),
    "bert": lambda tiny: pretrained_words(tiny, "bert", freeze=False),
    "roberta, frozen": lambda tiny: pretrained_words(
        tiny, "roberta", pooling=AttentionPooling
    ),
    "roberta": lambda tiny: pretrained_words(
        tiny, "roberta", freeze=False, pooling=AttentionPooling
    ),
    "xlm-roberta": lambda tiny: pretrained_words(tiny, "xlm-roberta"),
    "deberta": lambda tiny: pretrained_words(tiny, "deberta"),
}
AUDIO = {
    "MFCC": lambda tiny: WordFrameBLSTM(40, 8),
    "subsampled": lambda tiny: WordEncoder(
        SubsampledFrameBLSTM(40, 6, 4, 8), 8
    ),
    "ECAPA": lambda tiny: WordEncoder(
        FrameECAPA(40, (8, 8, 8, 8, 6), res2net_scale=4), 8
    ),
    "as stored": lambda tiny: WordEncoder(
        FramesAsStored(40), 8, pooling=AttentionPooling
    ),
    "layers": lambda tiny: WordEncoder(LayerWeights(4, 40), 8),
    **{
        name: lambda tiny, name=name: WordEncoder(
            PretrainedFrames(front_end(tiny, name)), 8
        )
        for name in FRONT_ENDS
    },
}


def utterance_of(audio, i):
    """Return one utterance of a batch."""
    words = audio.frame_counts.split(audio.word_counts.tolist())
    frames = audio.frames.split([int(counts.sum()) for counts in words])
    return WordFrames(frames[i], words[i], audio.word_counts[i : i + 1])


def join(utterances):
    return WordFrames(*(torch.cat(parts) for parts in zip(*utterances)))


@pytest.mark.parametrize("name", TEXT)
def test_the_contract_of_text_encoders(name, tiny):
    encoder = WordBLSTM(TEXT[name](tiny), hidden_size=4).eval()
    encoder.fit_vocabulary(
        [word for utterance in WORDS for word in utterance], []
    )
    with torch.no_grad():
        batch = encoder(WORDS)
        backwards = encoder(WORDS[::-1])
        assert batch.shape == (4, 28, encoder.output_size)
        for i, words in enumerate(WORDS):
            alone = encoder([words])
            assert alone.shape == (1, len(words), encoder.output_size)
            for output in (batch[i], backwards[-1 - i]):
                torch.testing.assert_close(
                    output[: len(words)], alone[0], atol=1e-5, rtol=1e-4
                )
                assert not output[len(words) :].any()
        # all words have different vectors
        assert len(batch[1, :4].unique(dim=0)) == 4


@pytest.mark.parametrize("name", AUDIO)
def test_the_contract_of_audio_encoders(name, tiny):
    encoder = AUDIO[name](tiny).eval()
    audio = draw_audio(WORDS, 1 if name in FRONT_ENDS else 40)
    with torch.no_grad():
        batch = encoder(audio)
        assert batch.shape == (4, 28, encoder.output_size)
        utterances = [utterance_of(audio, i) for i in range(4)]
        backwards = encoder(join(utterances[::-1]))
        for i, utterance in enumerate(utterances):
            n_words = len(WORDS[i])
            alone = encoder(utterance)
            assert alone.shape == (1, n_words, encoder.output_size)
            for output in (batch[i], backwards[-1 - i]):
                torch.testing.assert_close(
                    output[:n_words], alone[0], atol=1e-5, rtol=1e-4
                )
                assert not output[n_words:].any()


@pytest.mark.parametrize(
    "encoder",
    [
        FrameBLSTM,
        FrameECAPA,
        SubsampledFrameBLSTM,
        WordFrameBLSTM,
    ],
)
def test_number_of_parameters(encoder):
    stated = re.search(r"are\s+([\d,]+)\s+parameters", encoder.__doc__)
    expected = int(stated[1].replace(",", ""))
    assert sum(p.numel() for p in encoder().parameters()) == expected


def test_pooling_equals_plain_loops():
    counts = [3, 1, 5]
    steps = torch.randn(9, 4)
    mean, attention = MeanPooling(4), AttentionPooling(4)
    torch.testing.assert_close(
        attention(steps, torch.tensor(counts)),
        mean(steps, torch.tensor(counts)),
    )
    # a query that would overflow a naive softmax
    attention.query.data = 100 * torch.randn(4)
    pooled = attention(steps, torch.tensor(counts))
    means = mean(steps, torch.tensor(counts))
    for i, word in enumerate(steps.split(counts)):
        scores = [sum(a * b for a, b in zip(s, attention.query)) for s in word]
        weights = torch.stack(scores).softmax(0)
        expected = sum(w * s for w, s in zip(weights, word))
        torch.testing.assert_close(pooled[i], expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(means[i], sum(word) / len(word))


@pytest.mark.parametrize("pooling_class", [MeanPooling, AttentionPooling])
def test_pooling_in_bfloat16(pooling_class):
    """Sums of bfloat16 values are computed in higher precision."""
    steps, counts = 1 + torch.randn(700, 4), torch.tensor([600, 100])
    pooling = pooling_class(4)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = pooling(steps.bfloat16(), counts)
    assert pooled.dtype == torch.bfloat16
    torch.testing.assert_close(
        pooled.float(), pooling(steps, counts), atol=0.01, rtol=0.01
    )


@pytest.mark.parametrize("first", [0.0, 0.0125])
def test_frames_equal_plain_loop(first):
    hop, n_frames = 0.02, 60
    generator = torch.Generator().manual_seed(shifted(1))
    starts = torch.rand(200, generator=generator, dtype=torch.double) * 1.3
    lengths = torch.rand(200, generator=generator, dtype=torch.double) ** 3
    # including words between frames, after the last frame, and on the grid
    segments = torch.stack([starts, starts + lengths], dim=1)
    grid = torch.tensor([[0.0, 0.04], [0.04, 0.06], [0.06, 1.2]])
    segments = torch.cat([segments, grid.double() + first])
    frames, counts = frames_of_words(segments, n_frames, first, hop)
    found = [part.tolist() for part in frames.split(counts.tolist())]
    for (start, end), inside in zip(segments.tolist(), found):
        centers = [first + k * hop for k in range(n_frames)]
        expected = [
            k
            for k, center in enumerate(centers)
            if start - 1e-9 <= center < end - 1e-9
        ]
        if expected:
            assert inside == expected
        else:
            (k,) = inside
            distances = [abs(c - (start + end) / 2) for c in centers]
            assert distances[k] == pytest.approx(min(distances), abs=1e-9)
    assert found[-3:] == [[0, 1], [2], list(range(3, 60))]


def test_subsampling_equals_convolution_per_word():
    encoder = SubsampledFrameBLSTM(
        input_size=3, hidden_size=4, subsampling=4, channels=5
    )
    audio = draw_audio([["a"] * 9], 3)
    found = encoder(audio)
    # kernel of four frames with stride four
    linear = encoder.convolution[0]
    kernel = linear.weight.view(5, 4, 3).transpose(1, 2)
    outputs = found.frames.split(found.frame_counts.tolist())
    words = audio.frames.split(audio.frame_counts.tolist())
    assert len({len(word) % 4 for word in words}) > 1
    for word, output in zip(words, outputs):
        filled = torch.nn.functional.pad(word, (0, 0, 0, -len(word) % 4))
        steps = torch.nn.functional.conv1d(
            filled.T[None], kernel, linear.bias, stride=4
        )[0].T.relu()
        assert len(steps) == -(-len(word) // 4)
        expected = encoder.blstm(steps, torch.tensor([len(steps)]))
        torch.testing.assert_close(output, expected, atol=1e-6, rtol=1e-5)
    with pytest.raises(ValueError, match="subsampling must be at least 1"):
        SubsampledFrameBLSTM(subsampling=0)


def test_ecapa_equals_speechbrain_per_word():
    torch.manual_seed(shifted(0))
    options = {
        "channels": [12, 8, 8, 8, 6],
        "kernel_sizes": [5, 3, 3, 3, 1],
        "dilations": [1, 2, 3, 4, 1],
        "res2net_scale": 4,
        "se_channels": 3,
    }
    theirs = ECAPA_TDNN(7, **options).eval()
    for module in theirs.modules():
        if isinstance(module, speechbrain.nnet.CNN.Conv1d):
            # Reflection padding needs more than two frames.
            module.padding_mode = "constant"
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    ours = FrameECAPA(7, **options).eval()
    missing, _ = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert not missing
    audio = draw_audio([["a"] * 6], 7)
    counts = audio.frame_counts.tolist()
    with torch.no_grad():
        found = ours(audio).frames
        for word, output in zip(
            audio.frames.split(counts), found.split(counts)
        ):
            hidden, layers = word.T[None], []
            for block in theirs.blocks:
                hidden = block(hidden)
                layers.append(hidden)
            expected = theirs.mfa(torch.cat(layers[1:], dim=1))[0].T
            torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-4)
    # different numbers of channels need a shortcut with weights
    assert theirs.blocks[1].shortcut
    with pytest.raises(ValueError, match="must be odd"):
        FrameECAPA(kernel_sizes=(4, 3, 3, 3, 1))


def test_fbank_equals_torchaudio_per_word():
    waveform = torch.randn(16000)
    segments = torch.tensor([[0.0, 0.5], [0.4, 1.0]])
    found, counts = SegmentFbank(n_mels=23)(waveform, segments)
    theirs = torchaudio.transforms.MelSpectrogram(
        16000,
        400,
        hop_length=160,
        n_mels=23,
        center=False,
        window_fn=torch.hamming_window,
    )
    for (start, end), output in zip(
        [(0, 8000), (6400, 16000)], found.split(counts.tolist())
    ):
        expected = torch.log(theirs(waveform[start:end]) + 1e-6).T
        torch.testing.assert_close(output, expected, atol=1e-4, rtol=1e-4)


def test_samples_are_not_cut_from_overlapping_words():
    with pytest.raises(ValueError, match="Set --overlap=0"):
        SegmentSamples()(
            torch.randn(16000), torch.tensor([[0.0, 0.5], [0.4, 1.0]])
        )


def test_subwords_are_restored(tiny, tmp_path):
    embedding = subwords(tiny)
    running = [word for utterance in WORDS for word in utterance]
    embedding.fit_vocabulary(running)
    other = SubwordEmbedding(tmp_path, vocab_size=27, embedding_size=6)
    torch.save(embedding.state_dict(), tmp_path / "saved")
    other.load_state_dict(torch.load(tmp_path / "saved"))
    words = [["unheard", "für"], ["say"]]
    assert torch.equal(embedding(words), other(words))
    # other text in the same folder is learned again
    other = SubwordEmbedding(embedding.model_folder, vocab_size=27)
    other.fit_vocabulary([*running, "zzz", "zzzz"])
    assert other.tokenizer.piece_to_id("z") != other.tokenizer.unk_id()
    assert embedding.tokenizer.piece_to_id("z") == embedding.tokenizer.unk_id()
    with pytest.raises(
        ValueError, match="has 6 distinct characters.*vocab_size=6"
    ):
        SubwordEmbedding(
            tmp_path / "char", 5, model_type="char"
        ).fit_vocabulary(["ab", "bcd"])
    with pytest.raises(ValueError, match="4000 subwords.*--vocab_size"):
        SubwordEmbedding(tmp_path / "big", 4000).fit_vocabulary(running)


def test_egemaps_equal_opensmile_per_word():
    import opensmile

    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.Functionals,
    )
    waveform = 0.1 * torch.sin(torch.arange(16000) * 2 * 3.14159 * 120 / 16000)
    waveform += 0.01 * torch.randn(16000)
    segments = torch.tensor([[0.0, 0.5], [0.5, 0.52], [0.52, 1.0]])
    frames, counts = SegmentEgemaps()(waveform, segments)
    assert frames.shape == (3, 88) and counts.tolist() == [1, 1, 1]
    assert frames.isfinite().all()
    for i, (start, end) in {0: (0, 8000), 2: (8320, 16000)}.items():
        expected = smile.process_signal(waveform[start:end].numpy(), 16000)
        torch.testing.assert_close(
            frames[i], torch.tensor(expected.to_numpy("float32")[0])
        )


def test_egemaps_of_speech(controlled_corpus):
    (path, *_) = sorted(controlled_corpus.rglob("*.wav"))
    waveform = read_waveform(path, 16000)
    segments = torch.tensor([[0.0, 0.4], [0.4, 0.45], [0.45, 1.0]])
    frames, _ = SegmentEgemaps()(waveform, segments)
    assert frames.isfinite().all() and frames[0, 0] != frames[2, 0]
