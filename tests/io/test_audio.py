import subprocess
import sys
import unicodedata

import numpy as np
import pytest
import soundfile
import torch
from helpers.corpora import bad_audio, skip_unless_encodable

from speechbrain_can.io.audio import (
    AudioError,
    audio_duration,
    read_header,
    read_waveform,
)
from speechbrain_can.io.files import InputError


@pytest.mark.parametrize("rate", [16000, 22050])
def test_waveform_is_resampled(tmp_path, rate):
    times = np.arange(rate) / rate
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2760 * times), rate)
    waveform = read_waveform(tmp_path / "a.wav", 16000)
    assert waveform.shape == (16000,)
    expected = 0.5 * torch.sin(2760 * torch.arange(16000) / 16000)
    assert (waveform - expected)[200:-200].abs().max() < 0.01


RATES = [1009, 16001, 22051, 44101, 96001, 999983]


@pytest.mark.parametrize("rate", RATES)
def test_unusual_rates(tmp_path, rate):
    times = np.arange(rate) / rate
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.5 * np.sin(2760 * times), rate)
    waveform = read_waveform(path, 16000)
    assert abs(len(waveform) - 16000) <= 1
    expected = 0.5 * torch.sin(2760 * torch.arange(len(waveform)) / 16000)
    if rate > 16000 / np.pi:
        assert (waveform - expected)[200:-200].abs().max() < 0.01


@pytest.mark.attack
def test_unusual_rates_need_little_memory(tmp_path):
    """The kernel of torchaudio takes 6 GB at 22,051 Hz."""
    pytest.importorskip("resource")
    for rate in RATES:
        samples = np.sin(np.arange(1000))
        soundfile.write(tmp_path / f"{rate}.wav", samples, rate)
    code = """
import resource, sys
from pathlib import Path
from speechbrain_can.io.audio import read_waveform
peaks = []
for paths in ([], sorted(Path(sys.argv[1]).iterdir())):
    for path in paths:
        read_waveform(path, 16000)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(peaks[1] / peaks[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 1.5


@pytest.mark.attack
@pytest.mark.parametrize("rate", [1, 999, 1_000_001, 2**31 - 1])
def test_implausible_rates_are_refused(tmp_path, rate):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.sin(np.arange(1000)), 16000)
    content = bytearray(path.read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(AudioError, match=f"a sample rate of {rate} Hz"):
        read_waveform(path, 16000)


def test_channels_are_averaged(tmp_path):
    left, right = np.linspace(0, 0.5, 800), np.full(800, -0.1)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 16000)
    waveform = read_waveform(tmp_path / "a.wav", 16000)
    expected = torch.from_numpy((left + right) / 2).float()
    torch.testing.assert_close(waveform, expected, atol=1e-4, rtol=0)


REASONS = {
    "constant": "silent",
    "antiphase": "the 2 channels cancel each other",
    "too loud": "exceeds ten times full scale",
    "a pipe": "file not found",
    "unreadable": "cannot be decoded",
    "not numbers": "non-finite samples",
    "no such audio": "file not found",
}


@pytest.mark.parametrize(
    "kind",
    [
        *["unreadable", "no samples", "silent", "not numbers", "no such audio"],
        *["constant", "antiphase", "too loud", "a pipe"],
    ],
)
def test_bad_audio_names_the_file(tmp_path, kind):
    path = tmp_path / "a.wav"
    bad_audio(path, kind)
    reason = REASONS.get(kind, kind)
    with pytest.raises(AudioError, match=f"a.wav.*{reason}"):
        read_waveform(path, 16000)


NOISE = 0.1 * np.random.default_rng(0).normal(size=16000)


@pytest.mark.parametrize("extension", ["wav", "aiff", "au", "mp3"])
def test_truncated_audio_is_refused(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    soundfile.write(path, NOISE, 16000)
    assert audio_duration(path) == pytest.approx(1, abs=0.1)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match=r"truncated. Its header states 1.0"):
        audio_duration(path)


def test_truncated_flac_is_refused(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, NOISE, 16000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match="truncated|cannot be decoded"):
        audio_duration(path)


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_streamed_audio_is_read(tmp_path, length):
    """Programs that write to a pipe do not know the length of the audio."""
    path = tmp_path / "a.wav"
    soundfile.write(path, NOISE, 16000)
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = length.to_bytes(4, "little")
    path.write_bytes(content)
    if length:
        assert audio_duration(path) == 1
    else:
        with pytest.raises(AudioError, match="no samples"):
            audio_duration(path)


def test_channels(tmp_path):
    other = 0.1 * np.random.default_rng(1).normal(size=16000)
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([NOISE, other], axis=1), 16000, "FLOAT")
    for channel, samples in (
        *((name, NOISE) for name in ("left", "0", 0, " Left ")),
        *((name, other) for name in ("right", "1", 1)),
        (None, (NOISE + other) / 2),
    ):
        found = read_waveform(path, 16000, channel)
        torch.testing.assert_close(found, torch.from_numpy(samples).float())
    with pytest.raises(AudioError, match="no channel 2; the audio has 2"):
        read_waveform(path, 16000, 2)
    with pytest.raises(InputError, match="invalid channel 'middle'"):
        read_waveform(path, 16000, "middle")


@pytest.mark.parametrize("channels", [2, 8])
def test_channels_that_cancel_are_refused(tmp_path, channels):
    path = tmp_path / "a.wav"
    halves = [NOISE] * (channels // 2) + [-0.99 * NOISE] * (channels // 2)
    soundfile.write(path, np.stack(halves, axis=1), 16000, "FLOAT")
    with pytest.raises(AudioError, match="cancel each other.*--channel=left"):
        read_waveform(path, 16000)
    assert len(read_waveform(path, 16000, "left")) == 16000
    # one active channel is not cancelled
    silent = np.zeros((16000, channels))
    silent[:, 0] = NOISE
    soundfile.write(path, silent, 16000, "FLOAT")
    assert len(read_waveform(path, 16000)) == 16000


@pytest.mark.parametrize(
    "extension, codec",
    [("m4a", "aac"), ("mp4", "aac"), ("webm", "libopus")],
)
def test_formats_of_pyav(tmp_path, extension, codec):
    av = pytest.importorskip("av")
    path = tmp_path / f"a.{extension}"
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        samples = (tone * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.rate = 48000
        resampler = av.AudioResampler(stream.format.name, "mono", 48000)
        fifo = av.AudioFifo()
        for part in resampler.resample(frame):
            fifo.write(part)
        size = stream.codec_context.frame_size or 1024
        while part := fifo.read(size, partial=True):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    waveform = read_waveform(path, 16000)
    assert len(waveform) / 16000 == pytest.approx(1, abs=0.1)
    spectrum = torch.fft.rfft(waveform[4000:12000]).abs()
    assert spectrum.argmax() * 2 == pytest.approx(440, abs=4)
    header = read_header(path)
    assert header.duration == pytest.approx(1, abs=0.1)
    assert (header.sample_rate, header.channels) == (48000, 1)
    content = path.read_bytes()
    path.write_bytes(b"\0" * 100 + content[: len(content) // 2])
    with pytest.raises(AudioError, match=f"a.{extension}.*Convert it to WAV"):
        read_waveform(path, 16000)
    assert read_header(path) is None


def test_a_video_may_be_longer_than_its_audio(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono")
        for i in range(20):
            picture = np.zeros((32, 32, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            container.mux(video.encode(frame))
        for i in range(15):
            sound = (NOISE[:1024][None] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(sound, "s16", "mono")
            frame.rate, frame.pts = 16000, 1024 * i
            container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    assert audio_duration(path) == pytest.approx(0.96, abs=0.1)


def test_playlists_are_not_opened(tmp_path):
    """FFmpeg would read the files that a playlist names."""
    pytest.importorskip("av")
    soundfile.write(tmp_path / "secret.wav", NOISE, 16000)
    path = tmp_path / "a.m4a"
    path.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(AudioError, match="cannot be decoded"):
        read_waveform(path, 16000)


def test_undecodable_audio_has_advice(tmp_path):
    path = tmp_path / "my file.wav"
    path.write_bytes(b"noise" * 100)
    with pytest.raises(AudioError, match="ffmpeg -i '.*my file.wav'"):
        read_waveform(path, 16000)
    path.write_bytes(b"version https://git-lfs\noid sha256:0\n")
    with pytest.raises(AudioError, match="Git LFS pointer.*git lfs pull"):
        read_waveform(path, 16000)


@pytest.mark.parametrize("stored, asked", [("NFC", "NFD"), ("NFD", "NFC")])
def test_file_names_in_the_other_unicode_form(tmp_path, stored, asked):
    skip_unless_encodable("u\u0308")
    folder = tmp_path / unicodedata.normalize(stored, "Mü")
    folder.mkdir()
    soundfile.write(
        folder / unicodedata.normalize(stored, "für.wav"), NOISE, 16000
    )
    path = tmp_path / unicodedata.normalize(asked, "Mü/für.wav")
    assert audio_duration(path) == 1


def test_names_that_are_too_long(tmp_path):
    with pytest.raises(AudioError, match="audio file not found"):
        audio_duration(tmp_path / ("ü" * 5000))
