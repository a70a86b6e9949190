"""The report stage: figures as PNG and SVG with their numbers beside them, and one page."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from matbind.base.files import write_json, written_whole
from matbind.base.parallel import processes
from matbind.report import (
    failures,
    fused,
    gallery,
    geometry,
    helping,
    maps,
    perovskites,
    probes,
    records,
    retrieval,
    robustness,
)
from matbind.report.blocks import Plate, Question
from matbind.report.inputs import Inputs
from matbind.report.page import Drawn, page
from matbind.report.style import save_figure

FIGURES, PAGE = "figures", "index.html"
RUN_COLUMNS = {  # a column of combinations, and that of their runs
    "combination": "run_id",
    "before": "run_id_before",
    "after": "run_id_after",
    "without": "run_id_without",
    "with": "run_id_with",
}
QUESTIONS = (  # in the order of the page
    Question("retrieval", retrieval.answer),
    Question("helping", helping.answer),
    Question("probes", probes.answer),
    Question("perovskites", perovskites.answer),
    Question("maps", maps.answer),
    Question("fused", fused.answer),
    Question("robustness", robustness.answer),
    Question("gallery", gallery.answer),
    Question("geometry", geometry.answer),
    Question("failures", failures.answer),
    Question("encoders", records.encoders, file="parameters"),
    Question("tuning", records.tuning),
    Question("sources", records.sources),
)

Save = Callable[[Callable[[], Any], Path], tuple[Path, Path]]
"""Draws a figure by a function and writes it to a path without suffix; returns PNG and SVG."""


class _Job(NamedTuple):
    save: Save
    draw: Callable[[], Any]
    stem: Path


def write_report(
    inputs: Inputs, *, out: Path, log: Callable[[str], None], workers: int = 0, save: Save = save_figure
) -> Path:
    """Draw every figure, write its numbers beside it, and put all on one page that needs nothing else.

    Figures of an earlier report that this one does not have are removed.

    Args:
        inputs: what is reported.
        out: the directory of the reports; gets `index.html` and `figures/`, the rest is left alone.
        log: called with the progress in sentences.
        workers: processes that draw; 0 for one a core, 1 for none but that of the caller.
        save: draws and writes a figure.

    Returns:
        Path of the page.
    """
    sections = [(question, question.blocks(inputs)) for question in QUESTIONS]
    plates = [block for _, blocks in sections for block in blocks if isinstance(block, Plate)]
    directory = out / FIGURES
    directory.mkdir(parents=True, exist_ok=True)
    log(f"drawing {len(plates)} figures")
    jobs = [_Job(save, plate.draw, directory / plate.name) for plate in plates]
    with processes(workers if len(jobs) > 1 else 1) as pool:
        pictures = list(pool.map(_run, jobs))
    drawn = {
        plate.name: Drawn(png, svg, write_data(with_runs(plate.data, inputs), directory / plate.name))
        for plate, (png, svg) in zip(plates, pictures, strict=True)
    }
    for path in set(directory.iterdir()).difference(*drawn.values()):
        if path.is_file():
            path.unlink()
    path = out / PAGE
    with written_whole(path) as partial:
        partial.write_text(page(inputs, sections, drawn, figures=FIGURES), encoding="utf-8")
    log(f"{path}: {len(plates)} figures, {path.stat().st_size / 1e6:.1f} MB")
    return path


def _run(job: _Job) -> tuple[Path, Path]:
    return job.save(job.draw, job.stem)


def with_runs(data: Any, inputs: Inputs) -> Any:
    """Return the numbers of a figure with the tracking runs of the combinations they are of."""
    if isinstance(data, Mapping):
        return {**data, "run_ids": {name: inputs.run_id(name) for name in inputs.trained()}}
    return [
        {**row, **{run: inputs.run_id(row[name]) for name, run in RUN_COLUMNS.items() if name in row}} for row in data
    ]


def write_data(data: Any, stem: Path) -> Path:
    """Write the numbers of a figure: rows as CSV, a mapping as JSON.

    Returns:
        Path of the file.
    """
    if isinstance(data, Mapping):
        path = stem.with_name(f"{stem.name}.json")
        write_json(path, data)
        return path
    path = stem.with_name(f"{stem.name}.csv")
    columns = list(dict.fromkeys(key for row in data for key in row))
    with written_whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(data)
    return path
