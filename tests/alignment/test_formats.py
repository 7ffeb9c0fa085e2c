"""Files in every format that ``read_alignment`` supports."""

import json

import pympi
import pytest
from helpers.corpora import EMODB_LABELS, wdseg

from speechbrain_can.alignment.readers.formats import FORMATS, read_alignment
from speechbrain_can.alignment.words import AlignmentError, Word, clean_words

WORDS = [Word("oh", 0.1, 0.4), Word("really", 0.4, 0.95)]


def srt_time(seconds, mark=","):
    return f"00:00:{int(seconds):02d}{mark}{round(seconds % 1 * 1000):03d}"


def cues(mark, numbered):
    return "".join(
        (f"{i}\n" if numbered else "")
        + f"{srt_time(w.start, mark)} --> {srt_time(w.end, mark)}\n{w.text}\n\n"
        for i, w in enumerate(WORDS, start=1)
    )


def timed(text="word", score=None):
    return [
        {text: w.text, "start": w.start, "end": w.end}
        | ({score: 0.5} if score else {})
        for w in WORDS
    ]


# files as each tool writes them
JSON = {
    "whisperX": {
        "segments": [
            {"start": 0.1, "end": 0.95, "words": timed(score="score")}
        ],
        "word_segments": [],
    },
    "Whisper": {
        "text": " oh really",
        "segments": [
            {"id": 0, "words": [word]} for word in timed(score="probability")
        ],
    },
    "whisper-timestamped": {
        "segments": [{"words": timed("text", "confidence")}]
    },
    "gentle": {
        "transcript": "oh really",
        "words": [
            {"case": "success", "alignedWord": w["word"], **w} for w in timed()
        ],
    },
    "Vosk": {"result": timed(score="conf"), "text": "oh really"},
    "MFA": {
        "start": 0,
        "end": 1,
        "tiers": {
            "words": {
                "type": "interval",
                "entries": [[w.start, w.end, w.text] for w in WORDS],
            },
            "phones": {"type": "interval", "entries": []},
        },
    },
    "a list": timed(),
    "faster-whisper": [
        {"start": 0.1, "end": 0.95, "text": " oh really", "words": timed()}
    ],
    "Vosk, several results": [
        {"result": [word], "text": word["word"]} for word in timed()
    ],
    "speechcatcher": [{"content": "oh really", "words": timed()}],
    "transformers": {
        "text": " oh really",
        "chunks": [
            {"text": f" {w.text}", "timestamp": [w.start, w.end]} for w in WORDS
        ],
    },
    "whisper.cpp, one word per segment": {
        "transcription": [
            {
                "text": f" {w.text}",
                "offsets": {"from": 1000 * w.start, "to": 1000 * w.end},
            }
            for w in WORDS
        ]
    },
    "whisper.cpp, tokens": {
        "transcription": [
            {
                "text": " oh really",
                "offsets": {"from": 100, "to": 950},
                "tokens": [
                    {"text": "[_BEG_]", "offsets": {"from": 0, "to": 0}},
                    {"text": " oh", "offsets": {"from": 100, "to": 400}},
                    {"text": " real", "offsets": {"from": 400, "to": 700}},
                    {"text": "ly", "offsets": {"from": 700, "to": 950}},
                    {"text": "[_TT_47]", "offsets": {"from": 950, "to": 950}},
                ],
            }
        ]
    },
    "AssemblyAI": {
        "audio_duration": 1,
        "words": [
            {
                "text": w.text,
                "start": round(1000 * w.start),
                "end": round(1000 * w.end),
                "confidence": 0.5,
            }
            for w in WORDS
        ],
    },
    "Google": {
        "results": [
            {
                "alternatives": [
                    {
                        "transcript": "oh really",
                        "words": [
                            {
                                "startTime": f"{w.start}s",
                                "endTime": f"{w.end}s",
                                "word": w.text,
                            }
                            for w in WORDS
                        ],
                    },
                    {"transcript": "oh rarely"},
                ]
            }
        ]
    },
    "Google, protocol buffers": {
        "results": [
            {
                "alternatives": [
                    {
                        "words": [
                            {
                                "start_time": {"nanos": int(1e9 * w.start)},
                                "end_time": {
                                    "seconds": 0,
                                    "nanos": 1e9 * w.end,
                                },
                                "word": w.text,
                            }
                            for w in WORDS
                        ],
                    }
                ]
            }
        ]
    },
    "AWS": {
        "results": {
            "transcripts": [{"transcript": "oh really."}],
            "items": [
                *(
                    {
                        "type": "pronunciation",
                        "start_time": str(w.start),
                        "end_time": str(w.end),
                        "alternatives": [{"content": w.text}],
                    }
                    for w in WORDS
                ),
                {"type": "punctuation", "alternatives": [{"content": "."}]},
            ],
        }
    },
    "gentle, a word that was not found": {
        "words": [
            *timed(),
            {
                "word": "",
                "case": "not-found-in-audio",
                "startOffset": 9,
                "endOffset": 9,
            },
        ]
    },
    "Google, with speakers": {
        "results": [
            {"alternatives": [{"words": timed()}]},
            {
                "alternatives": [
                    {"words": [w | {"speakerTag": 1} for w in timed()]}
                ]
            },
        ]
    },
    "whisperX, scores without values": {
        "segments": [{"words": [w | {"score": float("nan")} for w in timed()]}]
    },
    "Deepgram": {
        "results": {"channels": [{"alternatives": [{"words": timed()}]}]}
    },
}


def read(tmp_path, name, text, encoding="utf-8", **options):
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return read_alignment(path, **options)


@pytest.mark.parametrize("tool", JSON)
def test_json(tmp_path, tool):
    found = read(tmp_path, "a.json", json.dumps(JSON[tool]))
    assert found == WORDS
    scored = tool in (
        *("whisperX", "Whisper", "whisper-timestamped", "Vosk"),
        "AssemblyAI",
    )
    assert [w.score for w in found] == [0.5 if scored else None] * 2


def test_letters_that_whisper_cpp_divides(tmp_path):
    tokens = [(b" f", 100), (b"\xc3", 200), (b"\xbcr", 300)]
    parts = b",".join(
        b'{"text": "%s", "offsets": {"from": %d, "to": %d}}' % (t, at, at + 100)
        for t, at in [*tokens, (b" dich", 400)]
    )
    path = tmp_path / "a.json"
    path.write_bytes(
        b'{"transcription": [{"text": "", "tokens": [' + parts + b"]}]}"
    )
    assert read_alignment(path) == [
        Word("für", 0.1, 0.4),
        Word("dich", 0.4, 0.5),
    ]


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.ctm", "a 1 0.1 0.3 oh 0.9\na 1 0.4 0.55 really 0.8\n"),
        ("a.ctm", ";; by NeMo\na 1 0.1 0.3 oh\na 1 0.4 0.55 really\n"),
        ("a.ctm", "b 1 0 1 no\na 1 0.1 0.3 oh\na 1 0.4 0.55 really\n"),
        ("a.csv", "word,start,end\noh,0.1,0.4\nreally,0.4,0.95\n"),
        ("a.csv", "start;end;text;conf\n.1;.4;oh;1\n.4;.95;really;\n"),
        ("a.tsv", "word\tstart\tend\noh\t0.1\t0.4\nreally\t0.4\t0.95\n"),
        ("a.txt", "0.1\t0.4\toh\n\\\t200.0\t900.0\n0.4\t0.95\treally\n"),
        ("a.ctm", "a 1 0.1 0.3 oh NA lex NA\na 1 0.4 0.55 really NA lex NA\n"),
        (
            "a.ctm",
            "a 1 0.1 0 <b>\na 1 0.1 0.3 oh\na 1 0.4 0 <b>\n"
            "a 1 0.4 0.55 really\na 1 0.95 0 <b>\n",
        ),
        (
            "a.ctm",
            "b 1 0 1 no\nwav/a.wav 1 .1 .3 oh\nwav/a.wav 1 .4 .55 really\n",
        ),
        (
            "a.csv",
            "Begin,End,Label,Type,Speaker\n0.1,0.4,oh,words,anna\n"
            "0.4,0.95,really,words,anna\n0.1,0.4,OW1,phones,anna\n",
        ),
        ("a.csv", "Text;Start time;End_Time\noh;0,1;0,4\nreally;0,4;0,95\n"),
        ("a.csv", "tmin,tier,text,tmax\n.1,words,oh,.4\n.4,words,really,.95\n"),
        ("a.csv", "sep=;\nword;start;end\noh;0,1;0,4\nreally;0,4;0,95\n"),
        ("a.srt", cues(",", True)),
        (
            "a.vtt",
            "WEBVTT\n\n00:00:00.100 --> 00:00:00.950\n"
            "&gt;&gt; oh<00:00:00.400><c> really</c>\n\n",
        ),
        (
            "a.vtt",
            "WEBVTT\n\n00:00:00.100 --> 00:00:00.950\n \n"
            "oh<00:00:00.400><c> really</c>\n\n"
            "00:00:00.950 --> 00:00:00.960\noh really\n \n\n",
        ),
        ("a.vtt", "WEBVTT\n\n" + cues(".", False)),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_text(tmp_path, name, text, encoding):
    assert read(tmp_path, name, text, encoding) == WORDS
    windows = text.replace("\n", "\r\n")
    (tmp_path / name).write_bytes(windows.encode(encoding))
    assert read_alignment(tmp_path / name) == WORDS


def make_textgrid(tiers):
    from praatio import textgrid

    grid = textgrid.Textgrid()
    for name, entries in tiers.items():
        grid.addTier(textgrid.IntervalTier(name, entries, 0, 1))
    return grid


@pytest.mark.parametrize("kind", ["long_textgrid", "short_textgrid"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("tier", ["words", "anna - words", "ORT-MAU"])
def test_textgrid(tmp_path, kind, encoding, tier):
    tiers = {tier: [(w.start, w.end, w.text) for w in WORDS]}
    tiers["MAU"] = [(0.1, 0.2, "OW")]
    path = tmp_path / "a.TextGrid"
    make_textgrid(tiers).save(str(path), kind, includeBlankSpaces=True)
    path.write_text(path.read_text(encoding="utf-8"), encoding=encoding)
    found = read_alignment(path)
    assert [w for w in found if w.text != "<sil>"] == WORDS
    assert found[0] == Word("<sil>", 0.0, 0.1)  # a pause is a special token


TIERS = {
    "WebMAUS": ("ORT-MAU", ["KAN-MAU", "MAU"]),
    "WebMAUS, older": ("ORT", ["KAN", "MAU"]),
    "WebMAUS, both": ("ORT-MAU", ["ORT", "MAU"]),
    "P2FA": ("word", ["phone"]),
    "MFA": ("words", ["phones"]),
    "MFA, a speaker": ("anna - words", ["anna - phones"]),
    "SPPAS": ("TokensAlign", ["PhonAlign", "Activity"]),
    "ELAN": ("Words@anna", ["emotion@anna"]),
    "charsiu": ("words", ["phones"]),
}


@pytest.mark.parametrize("tool", TIERS)
def test_tiers_of_common_tools(tmp_path, tool):
    words, others = TIERS[tool]
    entries = [(w.start, w.end, w.text) for w in WORDS]
    tiers = {name: [(0.1, 0.2, "OW")] for name in others} | {words: entries}
    path = tmp_path / "a.TextGrid"
    make_textgrid(tiers).save(
        str(path), "long_textgrid", includeBlankSpaces=True
    )
    assert clean_words(read_alignment(path)) == WORDS


@pytest.mark.parametrize(
    "names",
    [["phones"], ["MAU"], ["emotion"], ["Mary"], ["a - words", "b - words"]],
)
def test_doubtful_tiers_are_refused(tmp_path, names):
    """A tier of unknown content is read only if it is chosen."""
    entries = [(w.start, w.end, w.text) for w in WORDS]
    path = tmp_path / "a.TextGrid"
    grid = make_textgrid(dict.fromkeys(names, entries))
    grid.save(str(path), "long_textgrid", includeBlankSpaces=True)
    with pytest.raises(AlignmentError, match="Pass --tier=NAME") as raised:
        read_alignment(path)
    assert all(name in str(raised.value) for name in names)
    assert clean_words(read_alignment(path, tier=names[-1])) == WORDS
    with pytest.raises(AlignmentError, match="found 0 tiers named 'other'"):
        read_alignment(path, tier="other")


def test_formats_without_tiers_refuse_the_option(tmp_path):
    with pytest.raises(AlignmentError, match=".ctm files have no tiers"):
        read(tmp_path, "a.ctm", "a 1 0 1 oh\n", tier="words")


def test_latin1_textgrid(tmp_path):
    path = tmp_path / "a.TextGrid"
    grid = make_textgrid({"words": [(0.1, 0.9, "für")]})
    grid.save(str(path), "long_textgrid", includeBlankSpaces=True)
    path.write_text(path.read_text("utf-8"), encoding="latin-1")
    assert clean_words(read_alignment(path)) == [Word("für", 0.1, 0.9)]


ELAN = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0"
    VERSION="3.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:noNamespaceSchemaLocation="EAFv3.0.xsd"><HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/><TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/>{slot}
<TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="800"/>
<TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="1600"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="t" TIER_ID="utterance"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts4">
<ANNOTATION_VALUE>u</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="s" PARENT_REF="utterance" TIER_ID="words">{words}</TIER>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t" TIME_ALIGNABLE="true"/>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="s" CONSTRAINTS="{constraint}"/>
</ANNOTATION_DOCUMENT>
"""


def test_elan_words_without_times_are_refused(tmp_path):
    words = "".join(
        f"<ANNOTATION><REF_ANNOTATION ANNOTATION_ID='w{i}' ANNOTATION_REF='a1'>"
        f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
        for i, text in enumerate(["talking", "kids"])
    )
    text = ELAN.format(slot="", words=words, constraint="Symbolic_Subdivision")
    with pytest.raises(AlignmentError, match="have no times of their own"):
        read(tmp_path, "a.eaf", text)


def test_elan_time_slots_without_values(tmp_path):
    spans = [
        ("so", "ts1", "ts2"),
        ("what", "ts2", "ts3"),
        ("now", "ts3", "ts4"),
    ]
    words = "".join(
        f"<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID='w{i}' "
        f"TIME_SLOT_REF1='{start}' TIME_SLOT_REF2='{end}'><ANNOTATION_VALUE>{text}"
        "</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
        for i, (text, start, end) in enumerate(spans)
    )
    slot = "<TIME_SLOT TIME_SLOT_ID='ts2'/>"
    text = ELAN.format(slot=slot, words=words, constraint="Time_Subdivision")
    found = read(tmp_path, "a.eaf", text)
    assert found == [
        Word("so", 0.0, 0.4),
        Word("what", 0.4, 0.8),
        Word("now", 0.8, 1.6),
    ]
    assert [word.note is None for word in found] == [False, False, True]


def test_elan(tmp_path):
    file = pympi.Elan.Eaf()
    file.add_tier("words")
    for w in WORDS:
        file.add_annotation(
            "words", round(1000 * w.start), round(1000 * w.end), w.text
        )
    file.to_file(str(tmp_path / "a.eaf"))
    assert read_alignment(tmp_path / "a.eaf") == WORDS


def test_protocols_of_the_corpora(tmp_path):
    text = wdseg((10, 39, "oh"), (40, 94, "really"))
    assert read(tmp_path, "a.wdseg", text) == WORDS
    assert read(tmp_path, "a.labsilb", EMODB_LABELS, "latin-1")


def test_words_without_times(tmp_path):
    """WhisperX omits the times of numbers, gentle those of missed words."""
    words = [
        {"word": "in", "start": 0.0, "end": 0.2},
        {"word": "2014."},
        {"word": "or"},
        {"word": "so", "start": 1.0, "end": 1.2},
    ]
    found = read(tmp_path, "a.json", json.dumps(words))
    assert found[1:3] == [Word("2014.", 0.2, 0.6), Word("or", 0.6, 1.0)]
    assert [word.note is None for word in found] == [True, False, False, True]
    assert found[1].note.startswith(
        "missing times repaired: '2014.' now covers"
    )


def rows(*times):
    return "word,start,end\n" + "".join(
        f"w{i},{start},{end}\n" for i, (start, end) in enumerate(times)
    )


@pytest.mark.parametrize(
    "times, repaired",
    [
        # an empty word takes the gap after or before it
        ([(0, 1), (1, 1), (1.5, 2)], [(0, 1), (1, 1.5), (1.5, 2)]),
        ([(0, 0.5), (1, 1), (1, 2)], [(0, 0.5), (0.5, 1), (1, 2)]),
        # or half of its longer neighbor
        ([(0, 1), (1, 1), (1, 1.2)], [(0, 0.5), (0.5, 1), (1, 1.2)]),
        ([(0, 0), (0, 1)], [(0, 0.5), (0.5, 1)]),
        # missing times are interpolated
        ([(0, 1), ("", ""), (2, 3)], [(0, 1), (1, 2), (2, 3)]),
        ([(0, 1), ("", 2), (2, 3)], [(0, 1), (1, 2), (2, 3)]),
        ([(0, 1), (1, ""), (2, 3)], [(0, 1), (1, 2), (2, 3)]),
        ([(0, 1), (1, ""), ("", 3)], [(0, 1), (1, 2), (2, 3)]),
        # the last word ends with the audio
        ([(0, 1), (1, 2), (2, "")], [(0, 1), (1, 2), (2, 4)]),
        ([(0, 1), (1, 2), ("", "NA")], [(0, 1), (1, 2), (2, 4)]),
    ],
)
def test_repaired_times(tmp_path, times, repaired):
    found = read(tmp_path, "a.csv", rows(*times), duration=4.0)
    assert [(word.start, word.end) for word in found] == repaired
    changed = [t != r for t, r in zip(times, repaired)]
    assert [word.note is not None for word in found] == changed


@pytest.mark.parametrize(
    "times, message",
    [
        ([("", ""), ("", ""), (1, 2)], "'w0' has no times, like 2 of 3 words"),
        ([(0, 1), (1, "")], "'w1' has no end, and the length"),
        ([(1, 1)], "'w0' has no times, and its neighbors leave no gap"),
    ],
)
def test_times_that_cannot_be_repaired(tmp_path, times, message):
    with pytest.raises(AlignmentError, match=message):
        read(tmp_path, "a.csv", rows(*times))


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.lab", "", "unknown alignment format '.lab'. .* .csv, .ctm"),
        ("a.ctm", "a 1 0.1\n", "line 1: expected 'utterance channel start"),
        ("a.ctm", "a 1 x 0.3 oh\n", "line 1: 'x' is not a number"),
        (
            "a.ctm",
            "b 1 0 1 oh\nc 1 0 1 no\n",
            "none of its 2 utterances is named 'a'",
        ),
        ("a.csv", "start,end\n0,1\n", "line 1: expected the columns word"),
        (
            "a.csv",
            "word,start,end\noh,0,\n",
            "line 2: 'oh' has no end, and the length of the audio is unknown",
        ),
        ("a.csv", "word,start,end\noh,1,0\n", "line 2: 'oh' ends at 0 s, not"),
        ("a.csv", "word,start,end\n", "the alignment is empty"),
        ("a.csv", "", "expected the columns .*, found none"),
        (
            "a.csv",
            "word,start,end\noh,1,2\nno,0,1\n",
            "line 3: 'no' starts at 0 s, before the previous word at 1 s",
        ),
        *(
            (
                "a.csv",
                f"word,start,end\noh,0,{end}\n",
                "line 2: .* not a number",
            )
            for end in ("inf", "1e999", "x")
        ),
        (
            "a.csv",
            "word,start,end\noh,.5,.5\n",
            "line 2: 'oh' has no times, and its neighbors leave no gap",
        ),
        (
            "a.json",
            '[{"word": 1, "start": 0, "end": 1}]',
            "word 1: the record has no text",
        ),
        (
            "a.json",
            f'[{{"word": "a", "start": 0, "end": {"9" * 400}}}]',
            "not a n",
        ),
        ("a.json", "[" * 100_000, "a.json: cannot be read as JSON of words"),
        ("a.json", '{"a": 1', "line 1: "),
        ("a.json", '{"text": "oh"}', "'oh' has no times, like 1 of 1 words"),
        ("a.json", "[]", "found no words"),
        (
            "a.json",
            '[{"start": 0, "end": 1}]',
            "word 1: the record has no text",
        ),
        (
            "a.csv",
            "word,start,end\noh,no,0,1\n",
            "line 2: expected 3 cells, found 4",
        ),
        (
            "a.ctm",
            "a 1 0 1 oh\na 2 0 1 no\n",
            "'a' has words of 2 channels .1, 2.. Write one file per channel",
        ),
        (
            "a.json",
            '{"segments": [{"text": " oh really", "start": 0, "end": 1}]}',
            "'oh really' contains several words",
        ),
        (
            "a.json",
            '[{"words": [{"word": "oh", "start": 0, "end": 1}]},'
            ' {"text": "so what", "start": 1, "end": 2}]',
            "'so what' contains several words",
        ),
        (
            "a.ctm",
            "x/a 1 0 1 oh\ny/a 1 0 1 no\n",
            "2 of its 2 utterances are named 'a'",
        ),
        (
            "a.csv",
            "Begin,End,Label,Type,Speaker\n0,1,oh,words,anna\n1,2,no,words,ben\n",
            "words of 2 speakers .anna, ben.",
        ),
        (
            "a.csv",
            "word,start,end,type\noh,0,1,lex\nOW,0,1,phone\n",
            "expected one word tier, found 0. Tiers: lex, phone",
        ),
        (
            "a.csv",
            "word,start,end,end\noh,0,1,2\n",
            "two columns have the same",
        ),
        ("a.ctm", "a 1 0 1 ▁oh\na 1 1 1 ly\n", "is a subword or a segment"),
        (
            "a.json",
            '{"results": {"channels": [{"words": []}, {"words": []}]}}',
            "words of 2 channels. Write one file per channel",
        ),
        (
            "a.vtt",
            "WEBVTT\n\n00:00:00.100 --> 00:00:00.950\noh\n\n"
            "00:00:01,100 --> 00:00:01,950\nno\n\n",
            "1 of 2 cues cannot be read",
        ),
        ("a.csv", "version https://git-lfs\n", "Git LFS pointer"),
        (
            "a.vtt",
            "WEBVTT\n\n00:00:00.100 --> 00:00:00.950\n"
            "oh no<00:00:00.400><c> really</c>\n\n",
            "cue 1: 'oh no really' contains words without times",
        ),
        ("a.txt", "0.1 0.4 oh\n", "line 1: expected 'start<tab>end"),
        (
            "a.srt",
            "1\n00:00:00,000 --> 00:00:01,000\noh really\n",
            "cue 1: 'oh really' contains several words, .* Align the transcript",
        ),
        ("a.srt", "oh really", "cannot be read as SubRip"),
        ("a.vtt", "oh really", "cannot be read as WebVTT"),
        ("a.TextGrid", "", "the alignment is empty"),
        (
            "a.TextGrid",
            'File type = "ooTextFile"\n',
            "cannot be read as a TextGrid",
        ),
        ("a.eaf", "oh", "cannot be read as an ELAN file"),
    ],
)
def test_errors_name_the_place(tmp_path, name, text, message):
    with pytest.raises(AlignmentError, match=message) as raised:
        read(tmp_path, name, text)
    assert name in str(raised.value)


def test_ambiguous_tiers(tmp_path):
    path = tmp_path / "a.TextGrid"
    for names in (["anna - words", "ben - words"], ["mary", "john"]):
        tiers = {name: [(0, 1, "oh")] for name in names}
        grid = make_textgrid(tiers)
        grid.save(str(path), "long_textgrid", includeBlankSpaces=True)
        with pytest.raises(AlignmentError, match=f"Tiers: {', '.join(names)}"):
            read_alignment(path)


def test_missing_file(tmp_path):
    with pytest.raises(AlignmentError, match="a.ctm: alignment file not found"):
        read_alignment(tmp_path / "a.ctm")


def test_every_format_is_tested():
    assert len(FORMATS) == 11
