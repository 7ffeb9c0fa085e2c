"""Files in every format that ``read_alignment`` supports."""

import json

import pympi
import pytest
from helpers.corpora import EMODB_LABELS, wdseg

from speechbrain_can.alignment.readers.formats import FORMATS, read_alignment
from speechbrain_can.alignment.words import AlignmentError, Word

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
}


def read(tmp_path, name, text, encoding="utf-8", **options):
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return read_alignment(path, **options)


@pytest.mark.parametrize("tool", JSON)
def test_json(tmp_path, tool):
    found = read(tmp_path, "a.json", json.dumps(JSON[tool]))
    assert found == WORDS
    scored = tool in ("whisperX", "Whisper", "whisper-timestamped", "Vosk")
    assert [w.score for w in found] == [0.5 if scored else None] * 2


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
        ("a.srt", cues(",", True)),
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
            for end in ("nan", "inf", "1e999")
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
