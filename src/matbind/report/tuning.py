"""The pages of a tuning: one of text, one to point at, and their figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matbind.base.files import written_whole
from matbind.report.template import render
from matbind.report.tuning_plots import draw, write_page
from matbind.training.tuning.result import short, verdict


def write_tuning(result: Mapping[str, Any], study: Any, directory: Path) -> list[Path]:
    """Write tuning.md and, if there was a tuning, tuning.html and the figures.

    Args:
        result: content of metrics/tuning.json.
        study: the Optuna study of the same trials; None where tuning is switched off.
        directory: where to write.

    Returns:
        The paths of all files.
    """
    text = directory / "tuning.md"
    with written_whole(text) as partial:
        partial.write_text(document(result), encoding="utf-8")
    if study is None:
        return [text]
    return [text, write_page(result, study, directory / "tuning.html"), *draw(result, study, directory)]


def document(result: Mapping[str, Any]) -> str:
    """Write the page of text of the content of metrics/tuning.json."""
    states = [trial["state"] for trial in result.get("trials", [])]
    return render("tuning.md.j2", result=result, verdict=verdict(result), states=states, short=short)
