"""The validation report as one page that needs no network: its template and style stand in `assets`."""

from __future__ import annotations

from typing import Any


def page(document: dict[str, Any]) -> str:
    """Render the content of `validation.json`.

    Args:
        document: as :func:`matbind.data.validation.stage.validate` returns it.

    Returns:
        One HTML document that refers to nothing outside itself.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("matbind.data.validation", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"thousands": "{:,}".format, "percent": "{:.2%}".format}
    return environment.get_template("page.html.j2").render(document)
