import pickle

import numpy as np
import pytest
from helpers.seeds import shifted

from speechbrain_can.alignment.words import (
    AlignmentError,
    Word,
    Words,
    clean_words,
    equal_words,
    fit_to_audio,
    texts_of,
    tile_words,
)


def test_consecutive_special_tokens_form_one_gap():
    words = [
        Word("a", 0.0, 0.2),
        Word("<sil>", 0.2, 0.3),
        Word("++BREATHING++", 0.3, 0.7),
        Word("<breath>", 0.7, 0.8),
        Word("b", 0.8, 1.0),
    ]
    assert tile_words(clean_words(words), end=1.0) == [
        Word("a", 0.0, 0.5),
        Word("b", 0.5, 1.0),
    ]


@pytest.mark.parametrize(
    "special",
    "<s> </s> <sil> <breath> ++LAUGHTER++ ++BREATHING++ ++GARBAGE++ "
    "++LIPSMACK++ [noise]".split(),
)
def test_special_tokens_are_dropped(special):
    assert clean_words([Word(special, 0.0, 1.0)]) == []


@pytest.mark.parametrize("raw", ["++LAUGHTER++(2)", "<sil>(3)", "(2)"])
def test_variant_suffix_only(raw):
    assert clean_words([Word(raw, 0.0, 1.0)]) == []


@pytest.mark.parametrize(
    "raw, clean", [("what(2)", "what"), ("A(12)", "a"), ("don't", "don't")]
)
def test_variants_are_stripped(raw, clean):
    assert clean_words([Word(raw, 0.0, 1.0)])[0].text == clean


def test_tiled_words_cover_the_utterance():
    generator = np.random.default_rng(shifted(0))
    for _ in range(50):
        times = np.sort(generator.uniform(0, 5, size=2 * 7))
        words = [Word("w", *pair) for pair in times.reshape(-1, 2)]
        tiled = tile_words(words, end=5.0)
        assert tiled[0].start == 0.0 and tiled[-1].end == 5.0
        for word, following in zip(tiled[:-1], tiled[1:]):
            assert word.end == following.start
            assert word.end > word.start


def test_tiling_nothing_is_an_error():
    with pytest.raises(AlignmentError, match="no words"):
        tile_words([], end=1.0)


def test_tiling_refuses_a_word_without_time():
    words = [
        Word("a", 0.0, 0.9),
        Word("b", 0.1, 0.2),
        Word("c", 0.15, 1.0),
    ]
    with pytest.raises(AlignmentError, match="'b' has no duration"):
        tile_words(words, end=1.0)


def test_times_slightly_past_the_audio_are_clipped():
    assert fit_to_audio([Word("a", 0.5, 1.02)], 1.0) == [Word("a", 0.5, 1.0)]


def test_times_past_the_audio_are_refused():
    with pytest.raises(
        AlignmentError, match="ends at 1.50 s but the audio is 1"
    ):
        fit_to_audio([Word("a", 0.5, 1.5)], 1.0)


def test_words_past_the_audio_are_refused():
    words = [Word("a", 0.0, 1.0), Word("b", 1.0, 1.02)]
    with pytest.raises(AlignmentError, match="'b' starts after the end"):
        fit_to_audio(words, 1.0)
    silence = [Word("a", 0.0, 1.0), Word("</s>", 1.0, 1.02)]
    assert fit_to_audio(silence, 1.0) == [Word("a", 0.0, 1.0)]


def test_truncated_recordings_keep_remaining_words():
    words = [Word("a", 0.0, 0.9), Word("b", 0.9, 1.5), Word("c", 1.5, 2.0)]
    assert fit_to_audio(words, 1.0, tolerance=np.inf) == [
        Word("a", 0.0, 0.9),
        Word("b", 0.9, 1.0),
    ]


def test_equal_words_tile():
    words = equal_words(list("abc"), 1.0)
    assert words[0].start == 0 and words[-1].end == 1.0
    assert words[0].end == words[1].start


def test_words_are_a_compact_list():
    plain = [
        Word(f"word{i % 5}", 0.1 * i, 0.1 * i + 0.05, score=0.5)
        for i in range(9)
    ]
    words = Words(plain)
    assert words == plain and list(words) == plain and len(words) == 9
    assert words[2] == plain[2] and words[-1] == plain[-1]
    assert words[1:4] == plain[1:4] and words != plain[1:]
    assert all(type(word.start) is float for word in words)
    # equal texts share one object, also across utterances
    others = Words([Word("".join(["word", "1"]), 0.0, 1.0)])
    assert others.texts[0] is words.texts[1]
    assert texts_of(words) == texts_of(plain) == tuple(w.text for w in plain)
    assert pickle.loads(pickle.dumps(words)) == plain
    assert Words([]) == [] and len(Words([])) == 0
