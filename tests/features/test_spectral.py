import pytest
import torch
import torchaudio

from speechbrain_can.features.spectral import SegmentMFCC

pytestmark = pytest.mark.training


def reference_mfcc(waveform, segments):
    """Call torchaudio's MFCC on each segment."""
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
def test_batched_features_equal_single_segments(segments):
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


def test_batched_whisper_equals_single_utterances():
    compute_features = SegmentMFCC()
    waveforms = [0.1 * torch.randn(n) for n in (4000, 16000, 300, 9000)]
    segments = [
        torch.tensor(bounds, dtype=torch.double)
        for bounds in (
            # past the end of the utterance, into the next one
            [[0.0, 0.1], [0.1, 0.2504]],
            [[0.0, 0.01], [0.01, 1.0]],
            [[0.0, 0.01], [0.01, 0.0188]],
            [[0.0, 0.5], [0.45, 0.5625]],
        )
    ]
    found = compute_features.batch(waveforms, segments)
    for waveform, bounds, (frames, counts) in zip(waveforms, segments, found):
        expected, expected_counts = reference_mfcc(waveform, bounds)
        assert torch.equal(counts, expected_counts)
        torch.testing.assert_close(frames, expected, atol=1e-4, rtol=1e-5)


def test_channels_are_refused():
    with pytest.raises(ValueError, match="the shape \\[samples\\]"):
        SegmentMFCC()(torch.zeros(2, 8000), torch.tensor([[0.0, 0.5]]))


def test_segments_do_not_depend_on_neighbors():
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
    with pytest.raises(
        ValueError, match="n_mfcc=40 must not be larger than n_mels"
    ):
        SegmentMFCC(n_mfcc=40, n_mels=23)
