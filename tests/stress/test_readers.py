"""Short version of ``make fuzz``: readers of user files."""

import random

import hypothesis.strategies as st
import pytest
from helpers.properties import search
from stress.damage import BYTES
from stress.readers import READERS, try_reader

# invalid or huge numbers and unexpected types
PIECES = [
    *("nan", "inf", "-1", "1e400", "9" * 400, "9" * 5000, "null", "[]", "{}"),
    *("true", '"', "\0", "\r", "\ufeff", "\u200b", "a" * 200_000, "[" * 5000),
    *("\u0661", "<", "&a;", "00:99:99,999", "-->", "\t", ",", ";", "\\"),
]


@st.composite
def damaged(draw, name):
    """Return a valid file with inserted pieces or changed bytes."""
    content = draw(st.sampled_from(READERS[name][0])).encode()
    for _ in range(draw(st.integers(0, 2))):
        begin = draw(st.integers(0, len(content)))
        end = min(len(content), begin + draw(st.integers(0, 8)))
        piece = draw(st.sampled_from(PIECES) | st.text(max_size=4))
        content = (
            content[:begin]
            + piece.encode("utf-8", "surrogatepass")
            + content[end:]
        )
    for how in draw(st.lists(st.sampled_from(sorted(BYTES)), max_size=2)):
        seed = draw(st.integers(0, 2**16))
        content = BYTES[how](content, random.Random(seed))
    return content


@pytest.mark.parametrize("name", READERS)
def test_valid_files_are_read(name, tmp_path):
    for content in READERS[name][0]:
        assert try_reader(name, content.encode(), tmp_path)


@pytest.mark.parametrize("name", READERS)
def test_any_bytes_are_read_or_refused(name, tmp_path):
    def check(content):
        try_reader(name, content, tmp_path)

    check(b"")
    search(check, damaged(name) | st.binary(max_size=64), examples=60)
