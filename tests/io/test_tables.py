"""Tables as spreadsheets write them: read as intended, or refused with the line."""

import pytest

from speechbrain_can.io.files import InputError
from speechbrain_can.io.tables import read_table

ROWS = [
    {"wav": "a.wav", "emotion": "ang", "transcript": "Oh no, not again"},
    {"wav": "b.wav", "emotion": "sad", "transcript": ""},
]
QUOTED = 'wav,emotion,transcript\na.wav,ang,"Oh no, not again"\nb.wav,sad,\n'


def read(tmp_path, text, name="a.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_text(text, encoding=encoding, newline="")
    return read_table(path, ["wav", "emotion"], ["transcript"])


@pytest.mark.parametrize(
    "text",
    [
        QUOTED,
        QUOTED.replace("\n", "\r\n"),
        QUOTED.replace("wav,emotion,transcript", "WAV,Emotion,TRANSCRIPT"),
        QUOTED.replace("wav,emotion,transcript", "wav, emotion , transcript"),
        QUOTED.replace("a.wav,ang,", "a.wav, ang, "),
        "wav;emotion;transcript\na.wav;ang;Oh no, not again\nb.wav;sad;\n",
        "wav\temotion\ttranscript\na.wav\tang\tOh no, not again\nb.wav\tsad\t\n",
        # empty rows of Excel and Numbers, and Excel's line with the separator
        QUOTED.replace("\nb.wav", "\n,,\n\n  ,,\nb.wav"),
        "\n,,\n" + QUOTED,
        "sep=,\n" + QUOTED,
        # empty cells after the last column, and the index of pandas
        'wav,emotion,transcript,,\na.wav,ang,"Oh no, not again",,\nb.wav,sad,,,\n',
        ',wav,emotion,transcript\n0,a.wav,ang,"Oh no, not again"\n1,b.wav,sad,\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_spreadsheets(tmp_path, text, encoding):
    assert [row for _, row in read(tmp_path, text, encoding=encoding)] == ROWS


def test_lines_are_those_of_the_file(tmp_path):
    text = 'wav,emotion,transcript\n,,\na.wav,ang,"so\nwhat"\nb.wav,sad,\n'
    assert [line for line, _ in read(tmp_path, text)] == [4, 5]


def test_other_columns_keep_their_names(tmp_path):
    ((_, row),) = read(tmp_path, "wav,emotion,Room\na.wav,ang,B\n")
    assert row == {"wav": "a.wav", "emotion": "ang", "Room": "B"}


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "wav,emotion,transcript\na.wav,ang,Oh no, not again\n",
            "line 2: the row has more cells than the header: 'not again'",
        ),
        (
            "wav,transcript,emotion\na.wav,so what,ang\nb.wav,no, no,sad\n",
            "line 3: the row has more cells than the header: 'sad'",
        ),
        (
            "wav,emotion,\na.wav,ang,loud\n",
            "line 2: the row has more cells than the header: 'loud'",
        ),
        (
            "file,emotion\na.wav,ang\n",
            "missing columns: wav. Found: file, emotion",
        ),
        ("wav,emotion,wav\na,b,c\n", "the column 'wav' occurs 2 times"),
        ("wav,emotion,Wav\na,b,c\n", "the column 'wav' occurs 2 times"),
        ("", "missing columns: wav, emotion. Found: none"),
        ("version https://git-lfs\n", "Git LFS pointer"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, message):
    with pytest.raises(InputError) as raised:
        read(tmp_path, text)
    assert message in str(raised.value)
