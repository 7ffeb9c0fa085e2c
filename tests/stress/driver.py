"""Driver of the suites that damage corpora: every kind once, then several at a time."""

import contextlib
from collections import Counter
from typing import Callable, Iterable

import hypothesis.strategies as st
from helpers.properties import search


def try_kinds(
    kinds: Iterable[str],
    cases: int,
    seed: int,
    attempt: Callable,
    failures: Iterable[str],
    report: Callable = print,
) -> tuple[Counter, list[tuple]]:
    """Try kinds of damage; return the outcomes and the details of failures.

    ``attempt`` maps some kinds and a seed to an outcome and its details. Hypothesis
    draws the combinations and reduces failures to the fewest kinds.
    """
    kinds, outcomes, failed = sorted(kinds), Counter(), []

    def check(chosen, number):
        outcome, detail = attempt(chosen, number)
        outcomes[outcome] += 1
        if outcome in failures:
            failed.append((number, chosen, outcome, detail))
            report(f"{number} {chosen}: {outcome}\n{detail}")
        assert outcome not in failures

    for number, kind in enumerate(kinds[:cases]):
        with contextlib.suppress(AssertionError):  # already in failed
            check([kind], seed + number)
    if cases > len(kinds):
        with contextlib.suppress(AssertionError):
            search(
                check,
                st.lists(
                    st.sampled_from(kinds), min_size=1, max_size=4, unique=True
                ),
                st.integers(0, 2**32),
                examples=cases - len(kinds),
                seed=seed,
            )
    return outcomes, failed
