"""The report stage: figures as PNG and SVG with their numbers beside them, and one page."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from matbind.base.files import write_json, written_whole
from matbind.base.parallel import called, processes
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
# A column of combinations, and that of their runs.
RUN_COLUMNS = {"combination": "run_id"} | {name: f"run_id_{name}" for name in ("before", "after", "without", "with")}
MODULES = (retrieval, helping, probes, perovskites, maps, fused, robustness, gallery, geometry, failures)
QUESTIONS = (  # in the order of the page
    *(Question(module.__name__.rpartition(".")[2], module.answer) for module in MODULES),
    Question("encoders", records.encoders, file="parameters"),
    Question("tuning", records.tuning),
    Question("sources", records.sources),
)


def write_report(inputs: Inputs, *, out: Path, log: Callable[[str], None], workers: int = 0) -> Path:
    """Draw every figure, write its numbers beside it, and put all on one page that needs nothing else.

    Figures of an earlier report that this one does not have are removed.

    Args:
        inputs: what is reported.
        out: the directory of the reports; gets `index.html` and `figures/`, the rest is left alone.
        log: called with the progress in sentences.
        workers: processes that draw; 0 for one a core, 1 for none but that of the caller.

    Returns:
        Path of the page.
    """
    sections = [(question, question.blocks(inputs)) for question in QUESTIONS]
    plates = [block for _, blocks in sections for block in blocks if isinstance(block, Plate)]
    directory = out / FIGURES
    directory.mkdir(parents=True, exist_ok=True)
    log(f"drawing {len(plates)} figures")
    jobs = [partial(save_figure, plate.draw, directory / plate.name) for plate in plates]
    with processes(workers if len(jobs) > 1 else 1) as pool:
        pictures = list(pool.map(called, jobs))
    drawn = {
        plate.name: Drawn(png, svg, write_data(with_runs(plate.data, inputs), directory / plate.name))
        for plate, (png, svg) in zip(plates, pictures, strict=True)
    }
    for path in set(directory.iterdir()).difference(*drawn.values()):
        if path.is_file():
            path.unlink()
    path = out / PAGE
    with written_whole(path) as unfinished:
        unfinished.write_text(page(inputs, sections, drawn, figures=FIGURES), encoding="utf-8")
    log(f"{path}: {len(plates)} figures, {path.stat().st_size / 1e6:.1f} MB")
    return path


def with_runs(data: Any, inputs: Inputs) -> Any:
    """Return the numbers of a figure with the tracking runs of the combinations they are of."""
    if isinstance(data, Mapping):
        return {**data, "run_ids": {name: inputs.run_id(name) for name in inputs.trained()}}
    return [
        {**row, **{run: inputs.run_id(row[name]) for name, run in RUN_COLUMNS.items() if name in row}} for row in data
    ]


def write_data(data: Any, stem: Path) -> Path:
    """Write the numbers of a figure, rows as CSV and a mapping as JSON, and return the path of the file."""
    if isinstance(data, Mapping):
        path = stem.with_name(f"{stem.name}.json")
        write_json(path, data)
        return path
    path = stem.with_name(f"{stem.name}.csv")
    columns = list(dict.fromkeys(key for row in data for key in row))
    with written_whole(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(data)
    return path
