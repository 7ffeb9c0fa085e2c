"""Accuracy of aligners on known word timings, and the transcripts they refuse."""

import itertools
import pickle

import numpy as np
import pytest
import torch
import torchaudio

from speechbrain_can.alignment.aligners.ctc import CTCAligner
from speechbrain_can.alignment.aligners.equal import EqualSegments
from speechbrain_can.alignment.aligners.phonemes import Pronouncer
from speechbrain_can.alignment.aligners.sphinx import PocketsphinxAligner
from speechbrain_can.alignment.pipeline import (
    FoundWords,
    find_words,
    transcribe_words,
)
from speechbrain_can.alignment.readers.sphinx import read_wdseg
from speechbrain_can.alignment.recognizers.sphinx import PocketsphinxTranscriber
from speechbrain_can.alignment.text import english_words, split_words
from speechbrain_can.alignment.words import AlignmentError, Word, clean_words
from speechbrain_can.controlled.speech import Synthesizer
from speechbrain_can.io.audio import read_waveform


@pytest.fixture(scope="module")
def align():
    return PocketsphinxAligner()


@pytest.fixture(scope="module")
def spoken(controlled_corpus):
    """Return waveforms, words and known word timings of forty synthesized utterances."""
    paths = sorted(controlled_corpus.glob("*/sentences/wav/*/*.wav"))
    return [
        (
            read_waveform(path, 16000),
            clean_words(
                read_wdseg(
                    str(path)
                    .replace("/wav/", "/ForcedAlignment/")
                    .replace(".wav", ".wdseg")
                )
            ),
        )
        for path in paths
    ]


def texts(words):
    return [word.text for word in words]


def test_every_utterance_is_aligned_closely(align, spoken):
    errors = []
    for waveform, words in spoken:
        found = align(waveform, " ".join(texts(words)))
        assert texts(found) == texts(words)
        errors += [abs(f.start - w.start) for f, w in zip(found, words)]
    # 96% on a hundred other utterances; chance is far lower
    assert np.mean(np.array(errors) <= 0.05 + 1e-6) > 0.9


def test_long_transcripts(align, spoken):
    """The penalty of a transcript grows with its length and must not prune it."""
    for n_utterances in (8, 20):
        own = spoken[:n_utterances]
        waveform = torch.cat([waveform for waveform, _ in own])
        assert len(waveform) > 2 * n_utterances * 16000
        text = " ".join(word.text for _, words in own for word in words)
        found = align(waveform, text)
        assert texts(found) == text.split()
        starts, offset = [], 0.0
        for piece, words in own:
            starts += [offset + word.start for word in words]
            offset += len(piece) / 16000
        errors = np.abs(np.array(starts) - [word.start for word in found])
        assert np.mean(errors <= 0.05 + 1e-6) > 0.8
    others = " ".join(word.text for _, words in spoken[20:28] for word in words)
    waveform = torch.cat([waveform for waveform, _ in spoken[:8]])
    with pytest.raises(AlignmentError, match="does not match the audio"):
        align(waveform, others)


def test_alignment_is_stateless(align, spoken):
    chosen = spoken[:4]
    forward = [align(w, " ".join(texts(words))) for w, words in chosen]
    backward = [align(w, " ".join(texts(words))) for w, words in chosen[::-1]]
    fresh = PocketsphinxAligner()
    assert forward == backward[::-1]
    assert fresh(chosen[2][0], " ".join(texts(chosen[2][1]))) == forward[2]


def test_full_dictionary_is_restarted(align, spoken, monkeypatch):
    waveform, words = spoken[0]
    expected = align(waveform, " ".join(texts(words)))
    monkeypatch.setattr(
        "speechbrain_can.alignment.aligners.sphinx.MAX_WORDS", 3
    )
    small = PocketsphinxAligner()
    for _ in range(3):
        assert small(waveform, " ".join(texts(words))) == expected


def test_wrong_transcripts_are_refused(align, spoken):
    refused = 0
    for (waveform, _), (_, words) in zip(spoken, spoken[1:]):
        try:
            align(waveform, " ".join(texts(words)))
        except AlignmentError as error:
            assert "does not match the audio" in str(error)
            refused += 1
    assert refused >= 0.7 * (len(spoken) - 1)


def test_out_of_vocabulary_words(align):
    synthesizer = Synthesizer()
    words = "my selfie with the blorbs was instagrammable".split()
    samples, starts = synthesizer.speak(
        words, "en-us", 50, 150, np.zeros(len(words))
    )
    waveform = torch.from_numpy(samples).float()
    waveform = torchaudio.functional.resample(
        waveform, synthesizer.sample_rate, 16000
    )
    found = align(waveform, "My selfie with the blorbs was instagrammable!")
    assert texts(found) == words
    exact = np.array(starts) / synthesizer.sample_rate
    assert np.abs([w.start for w in found] - exact).max() < 0.12


@pytest.mark.parametrize(
    "transcript, message",
    [
        ("😀 ...", "contains no words"),
        ("你好 hello", "in non-Latin letters: 你好"),
        (
            "so " * 300,
            "its 300 words need at least 18.0 s, the audio has 1.0 s",
        ),
        ("hello there", "does not match the audio"),
    ],
)
def test_unalignable_transcripts(align, transcript, message):
    noise = 0.1 * torch.randn(16000)
    with pytest.raises(AlignmentError, match=message):
        align(noise, transcript)
    # the next transcript can be aligned
    assert align._decoder(0) is not None


def test_recognizers_can_be_pickled(align, spoken):
    waveform, words = spoken[0]
    there = pickle.loads(pickle.dumps(align))
    text = " ".join(texts(words))
    assert there(waveform, text) == align(waveform, text)


@pytest.mark.parametrize(
    "written, spoken",
    [
        ("I'm 42!", "i'm forty two"),
        ("I\x92m " + "1" * 40, "i'm " + "one " * 40),
        ("the 3rd of 1,200 — 2.5%", "the third of one thousand two hundred two "
         "point five percent"),
        ("R&B for $5", "r and b for five dollars"),
        ("don’t [laughs] <sil> 'cause", "don't cause"),
        ("café 😀 naïve", "café naïve"),
        ("well-known…", "well known"),
    ],
)  # fmt: skip
def test_transcript_normalization(written, spoken):
    assert english_words(written) == spoken.split()


def test_words_of_any_language():
    assert split_words("¿Qué? Ça va: 你好 5") == "qué ça va 你好 5".split()


def test_pronunciations():
    pronounce = Pronouncer()
    assert pronounce("chew") == "CH UW"
    assert pronounce("...") == ""


def brute_force(emissions, targets, blank):
    """Return the best of all paths that spell the targets."""
    best, path = -np.inf, None
    for candidate in itertools.product(
        range(emissions.shape[1]), repeat=len(emissions)
    ):
        collapsed = [token for token, _ in itertools.groupby(candidate)]
        if [token for token in collapsed if token != blank] == targets:
            score = sum(emissions[i, t] for i, t in enumerate(candidate))
            if score > best:
                best, path = score, candidate
    return path


class Toy:
    """A CTC model of three letters with random emissions."""

    name, sample_rate, blank, separator = "toy", 10, 0, None

    def __call__(self, waveform):
        generator = torch.Generator().manual_seed(len(waveform))
        return (
            torch.randn(len(waveform) // 10, 3, generator=generator)
            .mul(3)
            .log_softmax(1)
        )

    def encode(self, word):
        return [" ab".find(letter) for letter in word if letter in "ab"]


def test_ctc_takes_the_best_path():
    model = Toy()
    for n_frames, transcript in (
        (5, "ab a"),
        (6, "a b"),
        (6, "aab"),
        (7, "b a"),
    ):
        waveform = torch.zeros(10 * n_frames)
        emissions = model(waveform).numpy()
        words = transcript.split()
        targets = [t for word in words for t in model.encode(word)]
        path = brute_force(emissions, targets, 0)
        starts = [
            i
            for i, token in enumerate(path)
            if token and (i == 0 or path[i - 1] != token)
        ]
        firsts = np.cumsum([0, *map(len, words)])[:-1]
        found = CTCAligner(model)(waveform, transcript)
        assert [w.start for w in found] == [starts[i] for i in firsts]
        assert all(0 < word.score <= 1 for word in found)


def test_ctc_reports_missing_letters():
    align = CTCAligner(Toy())
    with pytest.raises(AlignmentError, match="toy cannot spell xyz, 42"):
        align(torch.zeros(50), "ab xyz 42")
    with pytest.raises(
        AlignmentError, match="its 1 words need at least 5 frames, .* has 4"
    ):
        align(torch.zeros(40), "aaa")


def test_pocketsphinx_transcribes(align, spoken):
    transcribe = PocketsphinxTranscriber()
    right = total = 0
    for waveform, words in spoken[:8]:
        heard = texts(transcribe(waveform))
        right += len(set(heard) & set(texts(words)))
        total += len(set(texts(words)))
    assert right / total > 0.2  # chance is close to 0
    waveform, words = spoken[0]
    assert transcribe_words(waveform, transcribe) == transcribe(waveform)


class Told:
    """Speech recognizer that returns fixed words."""

    name, sample_rate = "told", 16000

    def __init__(self, words):
        self.words = words

    def __call__(self, waveform):
        return self.words


def test_recognized_words_are_aligned(align, spoken):
    waveform, words = spoken[0]
    loose = [
        Word(word.text.capitalize(), 0.1 * i, 0.1 * i + 0.1, 0.5)
        for i, word in enumerate(words)
    ]
    found = transcribe_words(waveform, Told(loose), align)
    assert found == align(waveform, " ".join(texts(words)))
    assert {word.score for word in found} == {0.5}
    plain = transcribe_words(
        waveform, Told([Word("Well-known,", 0.0, 1.0), Word("...", 1, 2)])
    )
    assert clean_words(plain) == [
        Word("well", 0.0, 0.5),
        Word("known", 0.5, 1.0),
    ]
    made_up = [Word("completely", 0, 1), Word("different", 1, 2)]
    with pytest.raises(
        AlignmentError, match="told recognized 'completely different'"
    ):
        transcribe_words(waveform, Told(made_up), align)


def test_find_words(align, spoken):
    waveform, words = spoken[0]
    text = " ".join(texts(words))
    given = find_words(waveform, 16000, alignment=words)
    assert (given.words, given.aligned_by) == (words, "given")
    # the utterance ends with a final pause, or otherwise with the audio
    assert given.end == len(waveform) / 16000
    last = words[-1].end
    closed = [*words, Word("<sil>", last, last + 0.02)]
    assert find_words(waveform, 16000, alignment=closed).end == last + 0.02
    as_it_is = FoundWords(words, last, "told")
    assert find_words(waveform, 16000, alignment=as_it_is) is as_it_is
    placed = find_words(waveform, 16000, align, transcript=text)
    assert placed.aligned_by == "pocketsphinx"
    assert placed.end == len(waveform) / 16000
    heard = find_words(waveform, 16000, align, Told(words))
    assert heard.aligned_by == "told, pocketsphinx"
    # audio at another sample rate is resampled for the recognizer
    equal = find_words(waveform, 8000, EqualSegments(), transcript=text)
    assert equal.words[-1].end == pytest.approx(len(waveform) / 8000)
    with pytest.raises(
        AlignmentError, match="no speech recognizer is configured"
    ):
        find_words(waveform, 16000)
