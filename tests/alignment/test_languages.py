"""Languages of aligners, recognizers and recordings."""

import pytest
import torch

from speechbrain_can.alignment.aligners.equal import EqualSegments
from speechbrain_can.alignment.aligners.sphinx import PocketsphinxAligner
from speechbrain_can.alignment.pipeline import find_words, transcribe_words
from speechbrain_can.alignment.recognizers.whisper import (
    WhisperTranscriber,
    language_note,
)
from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.io.audio import read_waveform

GERMAN = (
    "Der Lappen liegt auf dem Eisschrank.",
    "Das will sie am Mittwoch abgeben.",
    "Heute abend könnte ich es ihm sagen.",
    "In sieben Stunden wird es soweit sein.",
)
SILENCE = torch.zeros(32000)


class Recognizer:
    """Recognizer of one language that returns a note."""

    name, sample_rate, language = "fixed", 16000, "en"

    def __init__(self, note=None):
        self.note = note

    def __call__(self, waveform):
        return [
            Word("so", 0.0, 0.5, 0.5, self.note),
            Word("what", 0.5, 1.0, 0.5),
        ]


def test_a_part_for_another_language_is_refused():
    with pytest.raises(
        AlignmentError, match="pocketsphinx supports only .* 'en'.* in 'de'"
    ):
        find_words(
            SILENCE,
            16000,
            PocketsphinxAligner(),
            transcript=GERMAN[0],
            language="de",
        )
    with pytest.raises(AlignmentError, match="fixed supports only"):
        find_words(SILENCE, 16000, None, Recognizer(), language="de")
    # an alignment needs neither
    words = [Word("so", 0.0, 1.0)]
    found = find_words(
        SILENCE, 16000, PocketsphinxAligner(), alignment=words, language="de"
    )
    assert found.words == words
    # segments of equal length suit all languages
    found = find_words(
        SILENCE, 16000, EqualSegments(), transcript=GERMAN[0], language="de"
    )
    assert len(found.words) == 6


@pytest.mark.parametrize("transcript", GERMAN)
def test_transcripts_that_are_not_english_are_noted(transcript):
    (note,) = PocketsphinxAligner().doubts(transcript)
    assert "are not in the English dictionary" in note


def test_english_transcripts_are_not_noted():
    align = PocketsphinxAligner()
    for transcript in ("I can't tell if you're serious.", "A selfie with Bo"):
        assert align.doubts(transcript) == []


def test_notes_of_the_recognizer_survive_the_alignment():
    note = "Whisper detects the language 'de'"
    found = find_words(SILENCE, 16000, EqualSegments(), Recognizer(note))
    assert found.adjustments == (note,)
    words = transcribe_words(SILENCE, Recognizer(note), EqualSegments())
    assert [word.score for word in words] == [0.5, 0.5]


def test_whisper_for_another_language_shares_the_model():
    transcribe = WhisperTranscriber("base")
    other = transcribe.with_language("de")
    assert (transcribe.language, other.language) == ("en", "de")
    transcribe._loaded.append("model")
    assert other._loaded == ["model"]
    assert repr(other) == "WhisperTranscriber('base', 'de', 'int8')"


def test_other_detected_languages_are_noted():
    assert "'de' (95%), but transcribed 'en'" in language_note("en", "de", 0.95)
    assert language_note("en", "de", 0.5) is None
    assert language_note("en", "en", 0.95) is None


def test_whisper_detects_german(whisper, data):
    waveform = read_waveform(data / "emodb" / "wav" / "03a01Wa.wav", 16000)
    transcribe = WhisperTranscriber(str(whisper / "ct2"), "en")
    assert "'de'" in transcribe(waveform)[0].note
    german = transcribe.with_language("de")
    assert german(waveform)[0].note is None
