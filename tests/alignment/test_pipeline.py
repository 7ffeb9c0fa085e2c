"""Transcription with Whisper, and the words that it returns."""

import pickle

import pytest
import torch

from speechbrain_can.alignment.aligners.sphinx import PocketsphinxAligner
from speechbrain_can.alignment.pipeline import transcribe_words
from speechbrain_can.alignment.recognizers.whisper import WhisperTranscriber
from speechbrain_can.alignment.text import english_words
from speechbrain_can.alignment.vad import speech_spans
from speechbrain_can.alignment.words import AlignmentError
from speechbrain_can.corpus.manifest import read_manifest, resolve_wav
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.io.files import InputError


@pytest.fixture(scope="module")
def utterances(trained, controlled_corpus):
    rows = read_manifest(trained / "prepared" / "manifest.csv").values()
    return [
        (read_waveform(resolve_wav(row, controlled_corpus), 16000), row)
        for row in rows
    ]


@pytest.fixture(scope="module")
def transcribe(whisper):
    return WhisperTranscriber(str(whisper / "ct2"))


def test_missing_model():
    transcribe = WhisperTranscriber("nobody/has-this")
    assert repr(transcribe) == (
        "WhisperTranscriber('nobody/has-this', 'en', 'int8')"
    )
    with pytest.raises(InputError, match="Whisper 'nobody/has-this' cannot be"):
        transcribe(torch.randn(16000))


def test_recognizer_transcribes_speech(transcribe, utterances):
    right = total = 0
    for waveform, row in utterances[:8]:
        heard = transcribe(waveform)
        assert all(0 <= word.score <= 1 for word in heard)
        texts = english_words(" ".join(word.text for word in heard))
        right += len({*texts} & {word.text for word in row.words})
        total += len({word.text for word in row.words})
    assert right / total > 0.6


def test_alignment_improves_recognizer_timings(transcribe, utterances):
    align = PocketsphinxAligner()
    waveform, _ = utterances[3]
    loose, placed = (
        transcribe(waveform),
        transcribe_words(waveform, transcribe, align),
    )
    assert placed == align(waveform, " ".join(word.text for word in loose))
    if len(placed) == len(loose):
        assert [w.score for w in placed] == [w.score for w in loose]


def test_silence(transcribe):
    with pytest.raises(AlignmentError, match="no word was recognized"):
        transcribe(torch.zeros(32000))


def test_pickles_exclude_the_model(transcribe):
    assert len(pickle.dumps(transcribe)) < 1000


def test_speech_between_pauses(utterances):
    pieces, expected, start = [], [], 0.0
    for waveform, _ in utterances[:3]:
        pieces += [waveform, torch.zeros(16000)]
        expected.append((start, start + len(waveform) / 16000))
        start += len(waveform) / 16000 + 1
    spans = speech_spans(torch.cat(pieces), 16000)
    assert len(spans) == 3
    for (first, last), (low, high) in zip(spans, expected):
        assert low - 0.15 <= first < last <= high + 0.15
    assert speech_spans(torch.zeros(16000), 16000) == []
    short = speech_spans(torch.cat(pieces[:1]), 16000, longest=1.0)
    assert len(short) > 1 and all(b - a < 1.5 for a, b in short)
