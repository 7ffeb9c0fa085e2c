import numpy as np
import pytest
from conftest import WDSEG_HEADER, wdseg

from speechbrain_can.alignment.readers import read_wdseg, read_xlabel
from speechbrain_can.alignment.words import (
    AlignmentError,
    Word,
    clean_words,
    equal_words,
    fit_to_audio,
    tile_words,
)
from speechbrain_can.features.segments import aligned_segments, equal_segments

# Table 1 of the paper, as it reads where it is not garbled.
TABLE_1 = [
    (0, 51, "<s>"),
    (52, 75, "i"),
    (76, 88, "like"),
    (89, 140, "apple"),
    (141, 143, "<sil>"),
    (144, 177, "</s>"),
]


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "a.wdseg"
    path.write_text(text, encoding=encoding)
    return path


def test_table_1_of_the_paper(tmp_path):
    rows = read_wdseg(write(tmp_path, wdseg(*TABLE_1)))
    assert rows[0] == Word("<s>", 0.0, 0.52)
    words = tile_words(clean_words(rows), end=rows[-1].end)
    assert words == [
        Word("i", 0.0, 0.76),
        Word("like", 0.76, 0.89),
        Word("apple", 0.89, 1.78),
    ]


def test_a_run_of_special_tokens_is_one_gap_shared_equally():
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
def test_variants_of_nothing_are_nothing(raw):
    assert clean_words([Word(raw, 0.0, 1.0)]) == []


@pytest.mark.parametrize(
    "raw, clean", [("what(2)", "what"), ("A(12)", "a"), ("don't", "don't")]
)
def test_variants_are_stripped(raw, clean):
    assert clean_words([Word(raw, 0.0, 1.0)])[0].text == clean


def test_tiled_words_cover_the_utterance():
    generator = np.random.default_rng(0)
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
    with pytest.raises(AlignmentError, match="'b' is left without time"):
        tile_words(words, end=1.0)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "the alignment is empty"),
        ("\n\n", "the alignment is empty"),
        (WDSEG_HEADER, "line 1: truncated"),
        (WDSEG_HEADER + "\t0\t5\t-9 so\n", "line 2: truncated"),
        ("so what\n", "line 1: expected the header"),
        (
            wdseg((0, 5, "so"), (30, 10, "what")),
            "line 3: 'what' ends at 0.11 s, not after",
        ),
        (wdseg((9, 15, "so"), (2, 5, "what")), "line 3: 'what' starts at 0.02"),
        (
            WDSEG_HEADER + "\t0\t5\n Total score: 0\n",
            "line 2: expected 'SFrm EFrm SegAScr Word', found '0\\\\t5'",
        ),
        (
            WDSEG_HEADER + "\tx\t5\t-9 so\n Total score: 0\n",
            "line 2: expected 'SFrm",
        ),
    ],
)
def test_bad_wdseg_names_file_and_line(tmp_path, text, message):
    with pytest.raises(AlignmentError, match=message) as error:
        read_wdseg(write(tmp_path, text))
    assert "a.wdseg" in str(error.value)


def test_latin_1_is_read(tmp_path):
    rows = read_wdseg(write(tmp_path, wdseg((0, 9, "café")), "latin-1"))
    assert rows[0].text == "café"


XLABEL = """signal wochenAO
separator ;
nfields 1
#
    0.080080   -1 tü\t0.4
    0.244195   -1 .\t
    0.300000   -1 (\t
    0.400000   -1 \t
    0.500000   -1 ten\t2.4
    0.500000   -1 ten\t2.4
    0.600000   -1 .\t
"""


def test_xlabel(tmp_path):
    rows = read_xlabel(write(tmp_path, XLABEL, "latin-1"))
    assert [row.text for row in rows] == [
        "tü",
        "<sil>",
        "<sil>",
        "<sil>",
        "ten",
        "<sil>",
    ]
    assert rows[0] == Word("tü", 0.0, 0.08008)
    assert rows[4] == Word("ten", 0.4, 0.5)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "the alignment is empty"),
        ("signal wochenAO\n", "no '#' line"),
        ("#\n", "no label after the header"),
        ("#\n 0.5 -1 a\n 0.4 -1 b\n", "line 3: 'b' ends at 0.4"),
        ("#\n half -1 a\n", "line 2: expected 'end colour label'"),
    ],
)
def test_bad_xlabel_names_file_and_line(tmp_path, text, message):
    with pytest.raises(AlignmentError, match=message):
        read_xlabel(write(tmp_path, text))


def test_times_just_past_the_audio_are_clipped():
    assert fit_to_audio([Word("a", 0.5, 1.02)], 1.0) == [Word("a", 0.5, 1.0)]


def test_times_far_past_the_audio_are_refused():
    with pytest.raises(AlignmentError, match="ends at 1.50 s, the audio at 1"):
        fit_to_audio([Word("a", 0.5, 1.5)], 1.0)


def test_a_word_past_the_audio_is_not_lost_in_silence():
    words = [Word("a", 0.0, 1.0), Word("b", 1.0, 1.02)]
    with pytest.raises(AlignmentError, match="'b' starts after the end"):
        fit_to_audio(words, 1.0)
    silence = [Word("a", 0.0, 1.0), Word("</s>", 1.0, 1.02)]
    assert fit_to_audio(silence, 1.0) == [Word("a", 0.0, 1.0)]


def test_a_cut_recording_keeps_what_is_in_it():
    words = [Word("a", 0.0, 0.9), Word("b", 0.9, 1.5), Word("c", 1.5, 2.0)]
    assert fit_to_audio(words, 1.0, tolerance=np.inf) == [
        Word("a", 0.0, 0.9),
        Word("b", 0.9, 1.0),
    ]


def test_overlap_widens_each_segment_by_its_own_share():
    bounds = aligned_segments([0.0, 1.0, 3.0], [1.0, 3.0, 4.0], overlap=0.1)
    np.testing.assert_allclose(
        bounds, [[0.0, 1.05], [0.9, 3.1], [2.95, 4.0]], atol=1e-12
    )


def test_without_overlap_segments_are_the_words():
    bounds = aligned_segments([0.0, 1.0], [1.0, 3.0], overlap=0)
    np.testing.assert_array_equal(bounds, [[0, 1], [1, 3]])


def test_equal_segments_keep_number_and_end():
    bounds = equal_segments([0.0, 0.1, 0.3], [0.1, 0.3, 3.0], overlap=0.1)
    assert bounds.shape == (3, 2)
    np.testing.assert_allclose(bounds.mean(axis=1)[1], 1.5)
    np.testing.assert_allclose(bounds[1], [0.95, 2.05])
    assert bounds[0, 0] == 0 and bounds[-1, 1] == 3.0


def test_equal_words_tile():
    words = equal_words(list("abc"), 1.0)
    assert words[0].start == 0 and words[-1].end == 1.0
    assert words[0].end == words[1].start
