"""Files in every format that ``read_alignment`` supports."""

import pytest
from helpers.alignments import WORDS, read
from helpers.corpora import EMODB_LABELS, wdseg

from speechbrain_can.alignment.readers.formats import FORMATS, read_alignment
from speechbrain_can.alignment.words import AlignmentError


def srt_time(seconds, mark=","):
    return f"00:00:{int(seconds):02d}{mark}{round(seconds % 1 * 1000):03d}"


def cues(mark, numbered):
    return "".join(
        (f"{i}\n" if numbered else "")
        + f"{srt_time(w.start, mark)} --> {srt_time(w.end, mark)}\n{w.text}\n\n"
        for i, w in enumerate(WORDS, start=1)
    )


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


def test_protocols_of_the_corpora(tmp_path):
    text = wdseg((10, 39, "oh"), (40, 94, "really"))
    assert read(tmp_path, "a.wdseg", text) == WORDS
    assert read(tmp_path, "a.labsilb", EMODB_LABELS, "latin-1")


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


def test_missing_file(tmp_path):
    with pytest.raises(AlignmentError, match="a.ctm: alignment file not found"):
        read_alignment(tmp_path / "a.ctm")


def test_every_format_is_tested():
    assert len(FORMATS) == 11
