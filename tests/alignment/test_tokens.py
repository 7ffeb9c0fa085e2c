"""Tokens of aligners and recognizers become the same words, whatever their source."""

import pytest

from speechbrain_can.alignment.text import split_words, spoken_text
from speechbrain_can.alignment.tokens import is_unexpected, spoken_words
from speechbrain_can.alignment.words import (
    AlignmentError,
    Word,
    adjustments,
    clean_words,
)

PAUSES = [
    *("<sil>", "<s>", "</s>", "<eps>", "<p:>", "<p>", "<b>", "<usb>", "<nib>"),
    *("sp", "SIL", "sil", "spn", "SPN", "nsn", "h#", "!sil", "[SIL]", "{SL}"),
    *("{LG}", "{lg}", "{BR}", "{NS}", "{CG}", "{LS}", "[laughter]", "(laughs)"),
    *("++BREATH++", "[Breathing]", "(coughs)", "[noise]", "<music>", "(sighs)"),
    *("#", "*", "-", "–", "—", "...", "…", "?", "♪", "", " ", "'"),
]


@pytest.mark.parametrize("token", PAUSES)
def test_pauses_and_noises_are_not_words(token):
    assert spoken_words(token) == []
    assert not is_unexpected(token)


@pytest.mark.parametrize("token", ["<unk>", "<UNK>", "[unk]", "[UNK]", "<oov>"])
def test_unknown_words_are_spoken(token):
    assert spoken_words(token) == ["<unk>"]
    assert clean_words([Word(token, 0.5, 0.7)]) == [Word("<unk>", 0.5, 0.7)]


@pytest.mark.parametrize(
    "token, words",
    [
        (" Door.", "door"),
        ("“Door”", "door"),
        ('"door"', "door"),
        ("«door»", "door"),
        ("door\ufe0f", "door"),
        ("do\u200bor", "door"),
        ("do\u00ador", "door"),
        ("\ufeffdoor", "door"),
        ("it’s", "it's"),
        ("itʼs", "it's"),
        ("it´s", "it's"),
        ("it＇s", "it's"),
        ("’cause", "cause"),
        ("Mu\u0308ller", "müller"),
        ("what(2)", "what"),
        ("well-known", "well known"),
        ("U.S.", "u s"),
        ("silence", "silence"),
        ("spin", "spin"),
        ("9", "9"),
        ("1,000", "1,000"),
        ("3.5", "3.5"),
        ("em", "em"),
        ("pau", "pau"),
    ],
)
def test_one_form_of_each_word(token, words):
    assert spoken_words(token) == words.split()
    if "(" not in token:  # a variant in a token, a stage direction in a text
        assert split_words(token) == words.split()


@pytest.mark.parametrize(
    "token, words",
    [("<laugh>yes</laugh>", ["yes"]), ("[laughter-yes]", ["yes"])],
)
def test_laughed_words_are_spoken(token, words):
    assert spoken_words(token) == words and not is_unexpected(token)


def test_brackets_over_several_tokens():
    texts = "oh [laughs very loudly] no (so [what".split()
    words = [Word(text, i, i + 1) for i, text in enumerate(texts)]
    assert [w.text for w in clean_words(words)] == "oh no so what".split()
    assert len(adjustments(words)) == 3


@pytest.mark.parametrize("text", ["it 's", "do n't", "i 'll"])
def test_transcripts_and_alignments_join_contractions(text):
    words = [Word(w, i, i + 1) for i, w in enumerate(text.split())]
    assert [w.text for w in clean_words(words)] == split_words(text)
    assert len(split_words(text)) == 1


def test_words_of_a_token_share_its_time():
    found = clean_words([Word("well-known", 0.2, 0.6, score=0.5)])
    assert found == [Word("well", 0.2, 0.4), Word("known", 0.4, 0.6)]
    assert [word.score for word in found] == [0.5, 0.5]


@pytest.mark.parametrize("clitic", ["n't", "n’t", "N'T"])
def test_parts_of_contractions_are_joined(clitic):
    words = [Word("I", 0.0, 0.1), Word("do", 0.1, 0.3), Word(clitic, 0.3, 0.5)]
    assert clean_words(words) == [Word("i", 0.0, 0.1), Word("don't", 0.1, 0.5)]


@pytest.mark.parametrize(
    "token",
    [
        "%",
        "&",
        "5%",
        "€",
        "[inaudible]",
        "(um)",
        "<cutoff>",
        "\u200b",
        "so\0",
        "na\ufffdve",
    ],
)
def test_dropped_speech_is_noted(token):
    (note,) = adjustments([Word(token, 0.5, 0.7)])
    assert note == f"symbol or label left out: {token!r} at 0.5 s"


@pytest.mark.parametrize(
    "transcript, spoken, note",
    [
        ("So what", "So what", None),
        ("(sighs) So what", "So what", "text left out: '(sighs)'"),
        ("So [laughs] what", "So what", "text left out: '[laughs]'"),
        ("JOEY: So what", "So what", "text left out: 'JOEY:'"),
        ("JOEY AND ROSS: So", "So", "text left out: 'JOEY AND ROSS:'"),
        ("Speaker 1: So", "So", "text left out: 'Speaker 1:'"),
        ("SPEAKER_00: so", "so", "text left out: 'SPEAKER_00:'"),
        ("So happy :) :(", "So happy :) :(", None),
        ("It is 3:30 now", "It is 3:30 now", None),
        ("He said: never", "He said: never", None),
        ("он сказал: привет", "он сказал: привет", None),
        ("JOEY:Hi there", "Hi there", "text left out: 'JOEY:'"),
        ("*sighs* Oh no", "Oh no", "text left out: '*sighs*'"),
        ("（笑） hello", "hello", "text left out: '（笑）'"),
        ("a (b (c)) d", "a d", "text left out: '(c)', '(b  )'"),
        (
            "JOEY: Hi.\nROSS: Hello",
            "Hi. Hello",
            "text left out: 'JOEY:', 'ROSS:'",
        ),
        ("天" * 3000, "天" * 3000, None),  # in linear time
        ("A" * 100_000, "A" * 100_000, None),
    ],
)
def test_only_speech_is_aligned(transcript, spoken, note):
    assert spoken_text(transcript) == (spoken, [note] if note else [])


@pytest.mark.parametrize(
    "transcript, message",
    [
        ("So &lt;3", "HTML entity '&lt;'. Replace it with '<'"),
        ("I&#39;m", "HTML entity '&#39;'. Replace it with \"'\""),
        ("(sighs Oh no", "contains '(' without its counterpart"),
        ("joey: oh no", "'joey:', which may be the name of a speaker"),
        ("Joey and Ross: Hi", "'Joey and Ross:', which may be the name"),
        ("Joey: So what", "'Joey:', which may be the name of a speaker"),
        ("SO WHAT: NOW", "'SO WHAT:', which may be the name of a speaker"),
    ],
)
def test_doubtful_transcripts_are_refused(transcript, message):
    with pytest.raises(AlignmentError) as raised:
        spoken_text(transcript)
    assert message in str(raised.value)
