"""Template environment of the HTML pages."""

from pathlib import Path
from typing import Sequence

import jinja2

from speechbrain_can.io.files import atomic_write
from speechbrain_can.metrics.metrics import confusion


def confusion_cells(
    true: Sequence[str], predicted: Sequence[str], classes: Sequence[str]
) -> list[dict]:
    """Return the rows of a confusion matrix with shares and counts."""
    counts = confusion(true, predicted, classes)
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    return [
        {
            "true": name,
            "cells": [
                {"share": shares.loc[name, other], "count": int(count)}
                for other, count in row.items()
            ],
        }
        for name, row in counts.iterrows()
    ]


def write_html(path: str | Path, template: str, **content) -> None:
    """Write a page from a template in ``templates``, chunk by chunk."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("speechbrain_can.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    with atomic_write(path) as stream:
        stream.writelines(environment.get_template(template).generate(content))
