import pytest
from helpers.corpora import WDSEG_HEADER, wdseg

from speechbrain_can.alignment.readers.sphinx import read_wdseg
from speechbrain_can.alignment.readers.xlabel import read_xlabel
from speechbrain_can.alignment.words import (
    AlignmentError,
    Word,
    clean_words,
    tile_words,
)

# Table 1 of the paper, except for its garbled cells
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


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "the alignment is empty"),
        ("\n\n", "the alignment is empty"),
        (WDSEG_HEADER, "line 1: the file is truncated"),
        (WDSEG_HEADER + "\t0\t5\t-9 so\n", "line 2: the file is truncated"),
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
        (wdseg((10**400, 10**400, "so")), "line 2: expected 'SFrm"),
        (wdseg((-5, 5, "so")), "line 2: 'so' starts at -0.05 s, before the au"),
    ],
)
def test_bad_wdseg_names_file_and_line(tmp_path, text, message):
    with pytest.raises(AlignmentError, match=message) as error:
        read_wdseg(write(tmp_path, text))
    assert "a.wdseg" in str(error.value)


def test_latin_1(tmp_path):
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
    ]
    # times are starts of labels
    assert rows[0] == Word("tü", 0.08008, 0.244195)
    assert rows[4] == Word("ten", 0.5, 0.6)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "the alignment is empty"),
        ("signal wochenAO\n", "no '#' line"),
        ("#\n", "fewer than two labels"),
        ("#\n 0.5 -1 a\n 0.4 -1 b\n", "line 3: 'b' starts at 0.4 s, before"),
        (
            "#\n 0.4 -1 a\n 0.5 -1 b\n",
            "line 3: the file is truncated; no pause marks the end of 'b'",
        ),
        ("#\n half -1 a\n", "line 2: expected 'start color label'"),
    ],
)
def test_bad_xlabel_names_file_and_line(tmp_path, text, message):
    with pytest.raises(AlignmentError, match=message):
        read_xlabel(write(tmp_path, text))
