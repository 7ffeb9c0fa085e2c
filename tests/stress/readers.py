"""Readers of user files, with valid examples for each.

For any bytes, a reader must return a result or raise ``InputError``.
"""

import json
import math
import tempfile
from pathlib import Path

from helpers.corpora import EMODB_LABELS, utterance, wdseg
from helpers.recipes import RECIPES, load_module

from speechbrain_can.alignment.readers.formats import FORMATS, read_alignment
from speechbrain_can.corpus.fold_lists import (
    FoldAssignment,
    read_folds,
    write_folds,
)
from speechbrain_can.corpus.manifest import read_manifest, write_manifest
from speechbrain_can.inference.inputs import find_recordings
from speechbrain_can.io.files import InputError

_WORDS = [
    {"word": "oh", "start": 0.1, "end": 0.4, "score": 0.5},
    {"word": "really", "start": 0.4, "end": 0.95},
]
_ENTRIES = [[w["start"], w["end"], w["word"]] for w in _WORDS]
_ELAN = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0"
    VERSION="3.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:noNamespaceSchemaLocation="EAFv3.0.xsd"><HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="100"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="400"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="t" TIER_ID="words"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1"
    TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>oh</ANNOTATION_VALUE>
</ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t" TIME_ALIGNABLE="true"/>
</ANNOTATION_DOCUMENT>
"""
_LONG_TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.4
            text = "oh"
        intervals [2]:
            xmin = 0.4
            xmax = 1
            text = ""
"""
_SHORT_TEXTGRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1\n<exists>\n1\n'
    '"IntervalTier"\n"words"\n0\n1\n2\n0\n0.4\n"oh"\n0.4\n1\n""\n'
)

# Valid files by the extension of an alignment
ALIGNMENTS = {
    ".wdseg": [wdseg((0, 39, "<s>"), (40, 99, "so(2)"))],
    ".labsilb": [EMODB_LABELS],
    ".textgrid": [_LONG_TEXTGRID, _SHORT_TEXTGRID],
    ".ctm": ["a 1 0.1 0.3 oh 0.9\na 1 0.4 0.55 really\n"],
    ".json": [
        json.dumps(content)
        for content in (
            _WORDS,
            {"segments": [{"words": _WORDS}]},
            {"words": [{"word": "no", "case": "not-found"}, *_WORDS]},
            {"result": _WORDS},
            {"tiers": {"words": {"entries": _ENTRIES}}},
        )
    ],
    ".eaf": [_ELAN],
    ".txt": ["0.1\t0.4\toh\n\\\t200.0\t900.0\n0.4\t0.95\treally\n"],
    ".srt": ["1\n00:00:00,100 --> 00:00:00,400\noh\n\n"],
    ".vtt": ["WEBVTT\n\n00:00:00.100 --> 00:00:00.400\noh\n\n"],
    ".csv": [
        "word,start,end\noh,0.1,0.4\n",
        "start;end;text;conf\n0;.4;oh;1\n",
    ],
    ".tsv": ["word\tstart\tend\noh\t0.1\t0.4\n"],
}
assert set(ALIGNMENTS) == set(FORMATS)

iemocap = load_module(RECIPES["IEMOCAP"] / "iemocap_prepare.py")
_CLASS_OF = {"ang": "ang", "neu": "neu"}
_NAME = "Ses01F_impro01"


def _release(kind):
    """Return a function that reads text in its place in a release."""

    def read(path):
        session = path.with_suffix("") / "Session1"
        for other in ("EmoEvaluation", "transcriptions"):
            (session / "dialog" / other).mkdir(parents=True, exist_ok=True)
        path.replace(session / "dialog" / kind / f"{_NAME}.txt")
        iemocap.list_recordings([session], _CLASS_OF)
        iemocap.find_votes([session])

    return read


def _written(write, *rows):
    """Return the output of one of our writers as text."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "a.csv", *rows)
        return (Path(folder) / "a.csv").read_text(encoding="utf-8")


def _alignment(path):
    """Check that the words of an alignment are usable: in order, each with its times."""
    words = read_alignment(path)
    starts = [word.start for word in words]
    assert words and starts == sorted(starts)
    assert all(0 <= word.start < word.end < math.inf for word in words)
    assert all(word.text for word in words)
    assert all(
        word.score is None or math.isfinite(word.score) for word in words
    )


# Valid files and their reader, by a name with the extension
READERS = {
    **{f"alignment{end}": (ALIGNMENTS[end], _alignment) for end in FORMATS},
    "labels.txt": (
        [
            f"[6.2901 - 8.2357]\t{_NAME}_F000\tang\t[2.5, 2.5, 2.5]\n"
            "C-E1:\tAnger;\t()\nC-F1:\tNeutral; Anger;\t()\n\n"
        ],
        _release("EmoEvaluation"),
    ),
    "transcription.txt": (
        [f"{_NAME}_F000 [006.2901-008.2357]: So, what?\n"],
        _release("transcriptions"),
    ),
    "table.csv": (
        ["wav,transcript,alignment\na.wav,so what,a.wdseg\nb.wav,,\n"],
        lambda path: find_recordings([path]),
    ),
    "manifest.csv": (
        [_written(write_manifest, [utterance("a"), utterance("b")])],
        read_manifest,
    ),
    "folds.csv": (
        [_written(write_folds, {"a": FoldAssignment("0", "1")})],
        read_folds,
    ),
}


def try_reader(name, content, folder):
    """Return whether a reader accepts some bytes; unexpected errors propagate."""
    path = Path(folder) / name
    path.write_bytes(content)
    try:
        READERS[name][1](path)
    except InputError as error:
        assert len(str(error)) > 20, f"says nothing: {error}"
        return False
    return True
