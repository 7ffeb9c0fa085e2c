"""Template environment of the HTML pages."""

from pathlib import Path

import jinja2

from speechbrain_can.io.files import atomic_write


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
