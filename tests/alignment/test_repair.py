"""Missing and empty times are repaired from the neighboring words."""

import pytest
from helpers.alignments import read

from speechbrain_can.alignment.words import AlignmentError


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
