import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from conftest import write_wav
from test_manifest import utterance

from speechbrain_can.alignment.words import Word
from speechbrain_can.audio import AudioError, read_waveform
from speechbrain_can.features.normalization import GlobalNormalization
from speechbrain_can.features.segments import aligned_segments
from speechbrain_can.features.spectral import SegmentMFCC
from speechbrain_can.features.store import FeatureStore


def reference_mfcc(waveform, segments):
    """torchaudio's MFCC, called on one segment after another."""
    transform = torchaudio.transforms.MFCC(
        sample_rate=16000,
        n_mfcc=40,
        log_mels=True,
        melkwargs={
            "n_fft": 400,
            "hop_length": 160,
            "n_mels": 40,
            "center": False,
            "window_fn": torch.hamming_window,
        },
    )
    frames, counts = [], []
    for start, end in (segments * 16000).round().long().tolist():
        samples = waveform[start:end]
        if len(samples) < 400:
            samples = torch.nn.functional.pad(samples, (0, 400 - len(samples)))
        frames.append(transform(samples).T)
        counts.append(len(frames[-1]))
    return torch.cat(frames), torch.tensor(counts)


@pytest.mark.parametrize(
    "segments",
    [
        [[0.0, 1.0]],
        [[0.0, 0.31], [0.29, 0.3], [0.3, 0.302], [0.3, 1.0]],
        [[0.0, 0.025], [0.01, 0.0251], [0.975, 1.0], [0.99, 1.0]],
        [[0.02 * i, 0.02 * i + 0.05] for i in range(40)],
    ],
)
def test_same_as_one_segment_after_another(segments):
    waveform = 0.1 * torch.randn(16000)
    segments = torch.tensor(segments, dtype=torch.double)
    frames, counts = SegmentMFCC()(waveform, segments)
    expected, expected_counts = reference_mfcc(waveform, segments)
    assert torch.equal(counts, expected_counts)
    torch.testing.assert_close(frames, expected, atol=1e-4, rtol=1e-5)


def test_same_in_chunks():
    waveform = 0.1 * torch.randn(16000)
    segments = torch.tensor([[0.0, 0.4], [0.4, 0.41], [0.41, 1.0]])
    whole = SegmentMFCC()
    chunked = SegmentMFCC()
    chunked.CHUNK = 7
    torch.testing.assert_close(
        whole(waveform, segments), chunked(waveform, segments)
    )


def test_a_segment_does_not_hear_its_neighbours():
    segments = torch.tensor([[0.0, 0.5], [0.5, 0.51], [0.51, 1.0]])
    waveform = 0.1 * torch.randn(16000)
    frames, counts = SegmentMFCC()(waveform, segments)
    changed = waveform.clone()
    changed[8000:8160] = 0.5
    others, _ = SegmentMFCC()(changed, segments)
    first, _, last = counts.tolist()
    assert torch.equal(frames[:first], others[:first])
    assert torch.equal(frames[-last:], others[-last:])
    assert not torch.equal(frames[first], others[first])


def test_silence_is_finite():
    frames, _ = SegmentMFCC()(torch.zeros(8000), torch.tensor([[0.0, 0.5]]))
    assert torch.isfinite(frames).all()


def test_impossible_settings():
    with pytest.raises(ValueError, match="n_mfcc=40 needs as many n_mels"):
        SegmentMFCC(n_mfcc=40, n_mels=23)


@pytest.mark.parametrize("rate", [16000, 22050])
def test_waveform_is_resampled(tmp_path, rate):
    times = np.arange(rate) / rate
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2760 * times), rate)
    waveform = read_waveform(tmp_path / "a.wav", 16000)
    assert waveform.shape == (16000,)
    expected = 0.5 * torch.sin(2760 * torch.arange(16000) / 16000)
    assert (waveform - expected)[200:-200].abs().max() < 0.01


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([np.full(800, 0.5), np.full(800, -0.1)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 16000)
    waveform = read_waveform(tmp_path / "a.wav", 16000)
    torch.testing.assert_close(
        waveform, torch.full((800,), 0.2), atol=1e-4, rtol=0
    )


def bad_audio(path, kind):
    if kind == "unreadable":
        path.write_bytes(b"RIFF not really")
    elif kind == "no samples":
        soundfile.write(path, np.zeros(0), 16000)
    elif kind == "silent":
        soundfile.write(path, np.zeros(800), 16000)
    elif kind == "not numbers":
        soundfile.write(path, np.full(800, np.nan), 16000, subtype="FLOAT")


@pytest.mark.parametrize(
    "kind",
    ["unreadable", "no samples", "silent", "not numbers", "no such audio"],
)
def test_bad_audio_names_the_file(tmp_path, kind):
    path = tmp_path / "a.wav"
    bad_audio(path, kind)
    with pytest.raises(AudioError, match=f"a.wav.*{kind}"):
        read_waveform(path, 16000)


@pytest.fixture
def corpus(tmp_path):
    utterances = {}
    for i, name in enumerate("abc"):
        seconds = 0.5 + i / 4
        write_wav(tmp_path / "corpus" / f"{name}.wav", seconds, seed=i)
        words = [Word("so", 0.0, 0.2), Word("what", 0.2, seconds)]
        utterances[name] = utterance(name, words, duration=seconds)
    return utterances


def build(tmp_path, corpus, overlap=0.1, **changes):
    from functools import partial

    settings = {
        "folder": tmp_path / "features",
        "utterances": corpus,
        "data_folder": tmp_path / "corpus",
        "compute_features": SegmentMFCC(),
        "segment": partial(aligned_segments, overlap=overlap),
    }
    return FeatureStore.build(**{**settings, **changes})


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_store_holds_what_the_module_computes(
    tmp_path, corpus, num_workers
):
    store = build(tmp_path, corpus, num_workers=num_workers)
    for name, row in corpus.items():
        waveform = read_waveform(tmp_path / "corpus" / f"{name}.wav", 16000)
        segments = aligned_segments(
            [w.start for w in row.words], [w.end for w in row.words]
        )
        expected = SegmentMFCC()(waveform, torch.from_numpy(segments))
        frames, counts = store[name]
        assert torch.equal(frames, expected[0])
        assert torch.equal(counts, expected[1])


def test_statistics_are_those_of_the_frames_named(tmp_path, corpus):
    store = build(tmp_path, corpus)
    frames = torch.cat([store["a"][0], store["c"][0]]).double()
    mean, std = store.statistics(["a", "c"])
    torch.testing.assert_close(mean, frames.mean(0).float())
    torch.testing.assert_close(
        std, frames.std(0, unbiased=False).float(), atol=1e-4, rtol=1e-4
    )


def test_the_store_is_made_once_for_the_same_settings(tmp_path, corpus):
    first = build(tmp_path, corpus)
    written = (first.folder / "frames.f32").stat().st_mtime_ns
    again = build(tmp_path, corpus)
    assert again.folder == first.folder
    assert (again.folder / "frames.f32").stat().st_mtime_ns == written
    assert build(tmp_path, corpus, overlap=0.2).folder != first.folder
    other = build(tmp_path, corpus, compute_features=SegmentMFCC(n_mels=64))
    assert other.folder != first.folder


def test_changed_audio_is_computed_anew(tmp_path, corpus):
    first = build(tmp_path, corpus)
    write_wav(tmp_path / "corpus" / "a.wav", 0.5, seed=99)
    second = build(tmp_path, corpus)
    assert second.folder != first.folder
    assert not torch.equal(second["a"][0], first["a"][0])


def test_a_failed_store_leaves_nothing(tmp_path, corpus):
    bad_audio(tmp_path / "corpus" / "c.wav", "silent")
    with pytest.raises(AudioError, match="c.wav"):
        build(tmp_path, corpus)
    left = [p for p in (tmp_path / "features").iterdir() if p.is_dir()]
    assert left == []


def test_building_does_not_touch_the_global_generator(tmp_path, corpus):
    before = torch.get_rng_state()
    build(tmp_path, corpus)
    assert torch.equal(before, torch.get_rng_state())


def test_normalization():
    frames = 3 + 2 * torch.randn(1000, 4)
    frames[:, 3] = 5.0
    normalize = GlobalNormalization(4)
    normalize.set_statistics(frames.mean(0), frames.std(0))
    normal = normalize(frames)
    assert normal.mean(0).abs().max() < 1e-5
    torch.testing.assert_close(normal.std(0)[:3], torch.ones(3))
    assert normal[:, 3].abs().max() == 0
    copy = GlobalNormalization(4)
    copy.load_state_dict(normalize.state_dict())
    assert torch.equal(copy(frames), normal)
