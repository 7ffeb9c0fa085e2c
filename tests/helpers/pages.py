"""Code blocks in README and docs."""

import re

from helpers.recipes import ROOT


def blocks(page, language="python"):
    """Return the blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def files_in(page):
    """Return the blocks whose first line names a file, by that name."""
    text = (ROOT / page).read_text(encoding="utf-8")
    pattern = r"```\w+\n# ((?:\w+/)?my_\w+\.\w+)\n(.*?)```"
    return dict(re.findall(pattern, text, re.DOTALL))
