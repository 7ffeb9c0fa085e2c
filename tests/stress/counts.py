"""Format of the counts of stress suites."""

import re
from collections import Counter

# Maps the outcomes of suites to the columns of the table
SURVIVED, REFUSED, LOST, SILENT, BARE = (
    *("survived", "refused", "lost", "silent", "bare"),
)
MEANING = {
    "harmless": SURVIVED,
    "adjusted": SURVIVED,
    "listed": SURVIVED,
    "refused for nothing": LOST,
    "traceback": BARE,
    "hang": BARE,
    "without advice": BARE,
}
COLUMNS = ("tried", SURVIVED, REFUSED, LOST, SILENT, BARE)
FAILURES = (LOST, SILENT, BARE)


def line(title, outcomes):
    """Return the counts of a suite as a line that ``read`` parses."""
    counts = Counter()
    for outcome, count in outcomes.items():
        counts[MEANING.get(outcome, outcome)] += count
    counts["tried"] = sum(counts[name] for name in COLUMNS[1:])
    return f"{title}: " + ", ".join(
        f"{name} {counts[name]}" for name in COLUMNS
    )


def read(text):
    """Return the counts by title in the output of suites."""
    pattern = "(.+): " + ", ".join(f"{name} ([0-9]+)" for name in COLUMNS)
    return {
        title: Counter(dict(zip(COLUMNS, map(int, numbers))))
        for title, *numbers in re.findall(f"^{pattern}$", text, re.MULTILINE)
    }
