"""Tiers of TextGrid and ELAN files: the words are found, doubtful tiers refused."""

import pympi
import pytest
from helpers.alignments import WORDS, read

from speechbrain_can.alignment.readers.formats import read_alignment
from speechbrain_can.alignment.words import AlignmentError, Word, clean_words


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


def test_ambiguous_tiers(tmp_path):
    path = tmp_path / "a.TextGrid"
    for names in (["anna - words", "ben - words"], ["mary", "john"]):
        tiers = {name: [(0, 1, "oh")] for name in names}
        grid = make_textgrid(tiers)
        grid.save(str(path), "long_textgrid", includeBlankSpaces=True)
        with pytest.raises(AlignmentError, match=f"Tiers: {', '.join(names)}"):
            read_alignment(path)
