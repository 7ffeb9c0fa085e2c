"""Unlabeled recordings that a tested recording is adapted to."""

import random
import sys
from collections import defaultdict
from typing import Callable, Sequence

from speechbrain_can.corpus.manifest import Utterance
from speechbrain_can.features.augmentation import drawn_from
from speechbrain_can.io.files import InputError

ALL = sys.maxsize
NEUTRAL, NEUTRAL_SHARE = "neu", 0.8


def parse_numbers(text: str) -> list[int]:
    """Parse numbers of recordings.

    Example
    -------
    >>> parse_numbers("0,5,all") == [0, 5, ALL]
    True
    """
    numbers = []
    for part in text.split(","):
        part = part.strip()
        if part != "all" and not part.isdigit():
            raise InputError(
                f"invalid number of recordings {part!r}. Pass numbers or all, "
                "separated by commas, such as 0,5,all."
            )
        numbers.append(ALL if part == "all" else int(part))
    return numbers


def name_of(number: int) -> str:
    """Return a number of recordings as text."""
    return f"{'all' if number == ALL else number} unlabeled recordings"


def draw_random(group: list[Utterance], i: int, number: int) -> list[int]:
    """Draw the indices of other recordings of a speaker."""
    return random.sample(others := _others(group, i), min(number, len(others)))


def draw_neutral(group: list[Utterance], i: int, number: int) -> list[int]:
    """Draw recordings, four fifths of which are neutral, with replacement.

    Without neutral recordings, all are drawn from the others.
    """
    others = _others(group, i)
    neutral = [j for j in others if group[j].emotion == NEUTRAL] or others
    rest = [j for j in others if j not in set(neutral)]
    if not others:
        return []
    return [
        random.choice(
            neutral if not rest or random.random() < NEUTRAL_SHARE else rest
        )
        for _ in range(min(number, len(group)))
    ]


def draw_one(group: list[Utterance], i: int, number: int) -> list[int]:
    """Draw recordings of a single emotion, with replacement."""
    by_emotion = defaultdict(list)
    for j in _others(group, i):
        by_emotion[group[j].emotion].append(j)
    if not by_emotion:
        return []
    same = by_emotion[random.choice(sorted(by_emotion))]
    return random.choices(same, k=min(number, len(group)))


def _others(group: Sequence[Utterance], i: int) -> list[int]:
    return [j for j in range(len(group)) if j != i]


def _reproducible(draw: Callable) -> Callable:
    """Return a draw whose random numbers depend on the utterance only."""

    def drawn(group, i, number):
        with drawn_from(f"{draw.__name__} {group[i].utterance_id}"):
            return draw(group, i, number)

    return drawn


DRAWS = {
    "random": _reproducible(draw_random),
    "neutral": _reproducible(draw_neutral),
    "one": _reproducible(draw_one),
}
