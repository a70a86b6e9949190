"""Documents made from the templates in `assets`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any


def asset(name: str) -> str:
    """Read a file of `assets`."""
    return (files("matbind.report") / "assets" / name).read_text(encoding="utf-8")


def render(name: str, *, finalize: Callable[[Any], Any] | None = None, **values: Any) -> str:
    """Fill a template; what goes into HTML is escaped.

    Args:
        name: of its file in `assets`.
        finalize: called with every value before it is written.
        values: what the template names.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(asset),
        autoescape=name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
    text: str = environment.get_template(name).render(values)
    return text
