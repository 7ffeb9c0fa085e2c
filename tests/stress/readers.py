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
from speechbrain_can.alignment.text import split_words, spoken_text
from speechbrain_can.alignment.tokens import spoken_words
from speechbrain_can.corpus.fold_lists import (
    FoldAssignment,
    read_folds,
    write_folds,
)
from speechbrain_can.corpus.manifest import read_manifest, write_manifest
from speechbrain_can.corpus.names import unify_names
from speechbrain_can.inference.inputs import find_recordings
from speechbrain_can.io.files import InputError, decode

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

_TIMES = [(w["start"], w["end"], w["word"]) for w in _WORDS]
_WEBMAUS = (
    _SHORT_TEXTGRID.replace("<exists>\n1\n", "<exists>\n2\n").replace(
        '"words"', '"ORT-MAU"'
    )
    + '"IntervalTier"\n"MAU"\n0\n1\n1\n0\n1\n"<p:>"\n'
)
_SYMBOLIC = _ELAN.replace(
    '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t"',
    '<TIER LINGUISTIC_TYPE_REF="a" PARENT_REF="words" TIER_ID="gloss"><ANNOTATION>'
    '<REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="a1"><ANNOTATION_VALUE>o'
    "</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>"
    '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="a" CONSTRAINTS="Symbolic_Association"/>'
    '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t"',
)

# Valid files by the extension of an alignment
ALIGNMENTS = {
    ".wdseg": [wdseg((0, 39, "<s>"), (40, 99, "so(2)"))],
    ".labsilb": [EMODB_LABELS],
    ".textgrid": [_LONG_TEXTGRID, _SHORT_TEXTGRID, _WEBMAUS],
    ".ctm": [
        "a 1 0.1 0.3 oh 0.9\na 1 0.4 0.55 really\n",
        "a 1 0.1 0.3 oh NA lex NA\na 1 0.4 0 <b>\na 1 0.4 0.5 so\n",
        "b 1 0 1 no\nwav/alignment.wav 1 0.1 0.3 oh\n",
    ],
    ".json": [
        json.dumps(content)
        for content in (
            _WORDS,
            {"segments": [{"words": _WORDS}]},
            {"words": [{"word": "no", "case": "not-found"}, *_WORDS]},
            {"result": _WORDS},
            {"tiers": {"words": {"entries": _ENTRIES}}},
            [{"result": _WORDS[:1]}, {"result": _WORDS[1:], "text": "really"}],
            {
                "chunks": [
                    {"text": t, "timestamp": [s, e]} for s, e, t in _TIMES
                ]
            },
            {
                "transcription": [
                    {
                        "text": f" {t}",
                        "offsets": {"from": 1000 * s, "to": 1000 * e},
                        "tokens": [
                            {
                                "text": f" {t}",
                                "offsets": {"from": 100, "to": 400},
                            },
                            {"text": ".", "offsets": {"from": 400, "to": 410}},
                        ],
                    }
                    for s, e, t in _TIMES[:1]
                ]
            },
            {"words": [{"text": "oh", "start": 100, "end": 400}]},
            {
                "results": [
                    {
                        "alternatives": [
                            {
                                "words": [
                                    {
                                        "word": t,
                                        "startTime": f"{s}s",
                                        "endTime": {
                                            "seconds": 0,
                                            "nanos": 1e9 * e,
                                        },
                                    }
                                    for s, e, t in _TIMES
                                ]
                            }
                        ]
                    }
                ]
            },
            [*_WORDS, {"word": "so", "start": 0.95, "end": 0.95}],
        )
    ]
    + ['{"result": [{"word": "a", "start": 0, "end": 1}]}\n{"text": ""}\n'],
    ".eaf": [_ELAN, _SYMBOLIC],
    ".txt": ["0.1\t0.4\toh\n\\\t200.0\t900.0\n0.4\t0.95\treally\n"],
    ".srt": ["1\n00:00:00,100 --> 00:00:00,400\noh\n\n"],
    ".vtt": [
        "WEBVTT\n\n00:00:00.100 --> 00:00:00.400\noh\n\n",
        "WEBVTT\n\n00:00:00.100 --> 00:00:00.900\noh<00:00:00.400><c> so</c>\n\n"
        "00:00:00.900 --> 00:00:00.910\noh so\n\n",
    ],
    ".csv": [
        "word,start,end\noh,0.1,0.4\n",
        "start;end;text;conf\n0;.4;oh;1\n",
        "Begin,End,Label,Type,Speaker\n0,.4,oh,words,a\n0,.4,OW,phones,a\n",
        "Label;Begin;End\noh;0,1;0,4\n",
    ],
    ".tsv": ["word\tstart\tend\noh\t0.1\t0.4\n"],
}
assert set(ALIGNMENTS) == set(FORMATS)

custom = load_module(
    RECIPES["IEMOCAP"].parents[1]
    / "CustomCorpus/multimodal_emotion_recognition/custom_prepare.py"
)
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
    words = read_alignment(path, duration=1.0)
    starts = [word.start for word in words]
    assert words and starts == sorted(starts)
    assert all(0 <= word.start < word.end < math.inf for word in words)
    assert all(word.text for word in words)
    assert all(
        word.score is None or math.isfinite(word.score) for word in words
    )


def _transcript(path):
    """Check that only words of the text are spoken."""
    text = decode(path.read_bytes())
    words = split_words(spoken_text(text)[0])
    assert all(spoken_words(word) in ([word], []) for word in words)


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
    "corpus.csv": (
        [
            "wav,emotion,speaker,transcript\na.wav,ang,b,so\n,,,\n",
            "WAV; Emotion; Speaker\na\\b.wav; ang; b\n",
        ],
        lambda path: unify_names(custom.list_recordings(path)[0]),
    ),
    "spoken.txt": (
        ["JOEY: (sighs) Oh, no & 5%!", "Speaker 1: so [laughs] 3"],
        _transcript,
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
