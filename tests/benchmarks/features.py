"""Features of every word of some utterances (group 2)."""

import json
import warnings
from pathlib import Path

import torch
import torchaudio
from measure import (
    Row,
    draw_lengths,
    draw_segments,
    in_process_of_its_own,
    median_seconds,
    peak_megabytes,
)

from speechbrain.lobes.features import MFCC
from speechbrain_can.features.spectral import SegmentMFCC

RATE = 16000
HOUR = 3600.0
ALONE = "only FFT, squares and mel product"


def per_word(function, utterances):
    """Call a function on the samples of each word."""

    def run():
        for waveform, segments in utterances:
            for start, end in (segments * RATE).round().long().tolist():
                function(waveform[start:end])

    return run


def run(threads, quick):
    """Measure features of words.

    Returns the rows, and seconds and megabytes of an hour-long file.
    """
    import librosa
    import opensmile

    torch.manual_seed(0)
    word_counts, frame_counts = draw_lengths(2 if quick else 32)
    utterances = []
    for counts in torch.from_numpy(frame_counts).split(word_counts.tolist()):
        segments = draw_segments(counts.numpy())
        samples = int(segments[-1, 1] * RATE)
        utterances.append((0.1 * torch.randn(samples), segments))
    audio = sum(len(waveform) for waveform, _ in utterances) / RATE

    compute_features = SegmentMFCC()
    theirs = torchaudio.transforms.MFCC(
        RATE,
        40,
        log_mels=True,
        melkwargs={
            "n_fft": 400,
            "hop_length": 160,
            "n_mels": 40,
            "center": False,
            "window_fn": torch.hamming_window,
        },
    )
    speechbrain_mfcc = MFCC(n_mfcc=40, n_mels=40, deltas=False, context=False)
    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.Functionals,
    )

    def ours():
        compute_features.batch(*zip(*utterances))

    def one_by_one():
        for waveform, segments in utterances:
            compute_features(waveform, segments)

    n_frames = sum(
        len(frames) for frames, _ in compute_features.batch(*zip(*utterances))
    )
    # the same number of windowed frames, in chunks of the same size
    framed = torch.randn(n_frames, compute_features.window_samples).split(
        compute_features.CHUNK
    )

    def transform_alone():
        for frames in framed:
            squares = torch.view_as_real(torch.fft.rfft(frames)).square_()
            squares.flatten(1) @ compute_features.mel_filters

    cases = {
        "ours": ours,
        "ours, utterance by utterance": one_by_one,
        ALONE: transform_alone,
        "torchaudio, one call per word": per_word(theirs, utterances),
        "SpeechBrain, one call per word": per_word(
            lambda word: speechbrain_mfcc(word[None]), utterances
        ),
        "librosa, one call per word": per_word(
            lambda word: librosa.feature.mfcc(
                y=word.numpy(),
                sr=RATE,
                n_mfcc=40,
                n_mels=40,
                n_fft=400,
                hop_length=160,
            ),
            utterances,
        ),
        "openSMILE eGeMAPS, one call per word": per_word(
            lambda word: smile.process_signal(word.numpy(), RATE), utterances
        ),
    }
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case, function in cases.items():
            seconds = median_seconds(function, threads, 0 if quick else 2)
            rows.append(Row("features of words", case, seconds, audio))
            if case in ("ours", ALONE):
                single = median_seconds(function, 1, 0 if quick else 2)
                rows.append(
                    Row(
                        "features of words",
                        f"{case}, one thread",
                        single,
                        audio,
                    )
                )
    duration = 60.0 if quick else HOUR
    return rows, in_process_of_its_own(Path(__file__), duration)


def hour_long(duration):
    """Compute the features of one long file and return the memory they needed."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    waveform = torch.randn(int(duration * RATE))
    ends = torch.arange(0.4, duration + 0.01, 0.4, dtype=torch.double)
    segments = torch.stack([ends - 0.4, ends], dim=1)
    compute_features = SegmentMFCC()
    compute_features(waveform, segments[:10])
    before = peak_megabytes()
    seconds = median_seconds(lambda: compute_features(waveform, segments), 1, 0)
    print(
        json.dumps(
            {
                "duration": duration,
                "seconds": seconds,
                "megabytes": peak_megabytes() - before,
            }
        )
    )


if __name__ == "__main__":
    import sys

    hour_long(float(sys.argv[1]))
