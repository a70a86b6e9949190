"""The validate stage: check every table of a records directory, set aside what is bad, write the rest anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.errors import UserError
from matbind.files import write_json, written_whole
from matbind.modality import MODALITIES
from matbind.parallel import threads
from matbind.records import SCHEMAS
from matbind.strict import StrictModel
from matbind.validation import crystal, dos, pxrd, text
from matbind.validation.agreement import Cells
from matbind.validation.document import NOUNS, Checked, describe, refusal
from matbind.validation.expectations import run_checks
from matbind.validation.quarantine import identity_checks, lost_with_structure, quarantined, with_identity
from matbind.validation.report import page
from matbind.validation.tables import arrow_batches, batches, check_table

Report = Callable[[str], None]
Summarize = Callable[[pl.DataFrame], pl.DataFrame]
TABLES = {"crystal": crystal.TABLE, "dos": dos.TABLE, "pxrd": pxrd.TABLE, "text": text.TABLE}
WRITTEN_ROWS = 1024
QUARANTINE = "quarantine.parquet"


class ValidateSettings(StrictModel):
    """What is expected of the values of each modality."""

    crystal: crystal.Settings
    dos: dos.Settings
    pxrd: pxrd.Settings
    text: text.Settings


def validate(
    settings: ValidateSettings, records: Path, out: Path, reports: Path, *, grid: pxrd.Grid, report: Report
) -> dict[str, Any]:
    """Check a records directory and write what is sound as a new one.

    A bad modality value leaves alone; a bad structure takes its material's other values along. `out` appears only when
    it is whole: the four tables without their bad rows, other files as they are, and `quarantine.parquet`. `reports`
    receives `validation.json` and `index.html`, also when the stage fails.

    Args:
        settings: thresholds.
        records: directory to check.
        out: directory to write.
        reports: directory of the report.
        grid: angles of the powder patterns.
        report: is told the progress in sentences.

    Returns:
        The content of `validation.json`.

    Raises:
        UserError: if a table cannot be read, or a larger share of a modality is bad than the settings allow.
    """
    present = {
        m: records / f"{TABLES[m]}.parquet"
        for m in MODALITIES
        if m == "crystal" or (records / f"{TABLES[m]}.parquet").exists()
    }
    for name, path in present.items():
        columns = check_table(path, TABLES[name])
        if name == "crystal" and "split" not in columns:
            raise UserError(f"{path}: column split is missing, expected the side of every material")
    structures, checked, duplicates = _check_structures(settings.crystal, present["crystal"])
    results = {"crystal": checked}
    _tell(report, "crystal", checked)
    sound = structures.filter(pl.Series(checked.keep))
    for name in MODALITIES[1:]:
        if name in present:
            results[name] = _check_values(
                name, settings, present[name], ids=structures["material_id"], sound=sound, grid=grid
            )
            _tell(report, name, results[name])

    shares = {name: getattr(settings, name).max_quarantined_share for name in results}
    document = describe(shares, results, structures, duplicates)
    reports.mkdir(parents=True, exist_ok=True)
    write_json(reports / "validation.json", document)
    with written_whole(reports / "index.html") as partial:
        partial.write_text(page(document))
    if not document["passed"]:
        shutil.rmtree(out, ignore_errors=True)  # what stands there is of other data
        raise UserError(refusal(document, present, reports / "index.html"))
    _write(records, out, present, results)
    return document


def _check_structures(settings: crystal.Settings, path: Path) -> tuple[pl.DataFrame, Checked, pl.DataFrame]:
    with threads() as pool:
        read = batches(path, crystal.TABLE, rows=crystal.BATCH_ROWS)
        parts = list(pool.map(lambda batch: (batch, crystal.summarize(batch, settings)), read))
    if not parts:
        raise UserError(f"{path}: the table has no rows, expected one a material")
    structures, summary = (pl.concat(part) for part in zip(*parts, strict=True))
    summary = with_identity(summary, structures["material_id"]).with_columns(crystal.split_conflicts(summary))
    group = pl.Series("duplicate_of", range(len(summary)))
    if settings.duplicates is not None:
        from matbind.validation.duplicates import duplicate_groups

        group = duplicate_groups(structures, summary, settings.duplicates)
    in_group = pl.len().over("duplicate_of") - pl.len().over("duplicate_of", "split")
    summary = summary.with_columns(group).with_columns(
        pl.when(pl.col("n_formula_elsewhere") > 0)
        .then(in_group)
        .otherwise(0)
        .cast(pl.Float64)
        .alias("n_duplicates_elsewhere")
    )
    expected = (*identity_checks(of_structures=True), *crystal.checks(settings), *crystal.SPLIT_CHECKS)
    outcomes = run_checks(summary, expected, suite="crystal")
    bad = quarantined(outcomes, summary, modality="crystal")
    copies = summary.filter(pl.len().over("duplicate_of") > 1).select("material_id", "formula", "split", "duplicate_of")
    return structures, Checked(summary, outcomes, bad, bad.clear()), copies


def _check_values(
    name: str, settings: ValidateSettings, path: Path, *, ids: pl.Series, sound: pl.DataFrame, grid: pxrd.Grid
) -> Checked:
    summarize: Summarize
    if name == "dos":
        electrons = dos.expected_electrons(sound, settings.dos)
        rows, checks = dos.BATCH_ROWS, dos.checks(settings.dos)
        summarize = partial(dos.summarize, electrons=electrons, settings=settings.dos)
    elif name == "pxrd":
        rows, checks = pxrd.batch_rows(grid), pxrd.checks(settings.pxrd, grid)
        summarize = partial(pxrd.summarize, cells=Cells.of(sound), settings=settings.pxrd, grid=grid)
    else:
        rows, checks = text.BATCH_ROWS, text.checks(settings.text)
        summarize = partial(text.summarize, crystals=sound)
    summary = _summary(path, TABLES[name], rows, summarize)
    summary = with_identity(summary, ids)
    outcomes = run_checks(summary, (*identity_checks(of_structures=False), *checks), suite=name)
    bad = quarantined(outcomes, summary, modality=name)
    return Checked(summary, outcomes, bad, lost_with_structure(summary, bad, sound["material_id"], modality=name))


def _summary(path: Path, table: str, rows: int, summarize: Summarize) -> pl.DataFrame:
    # Compiled measures run outside the interpreter lock: some batches are measured while the next is decoded.
    with threads() as pool:
        parts = list(pool.map(summarize, batches(path, table, rows=rows)))
    return pl.concat(parts) if parts else summarize(pl.DataFrame(schema=SCHEMAS[table]).with_row_index("row"))


def _tell(report: Report, name: str, checked: Checked) -> None:
    lost = f", {len(checked.with_structure)} leave with their structure" if len(checked.with_structure) else ""
    report(f"{name}: {len(checked.summary)} {NOUNS[name]} checked, {checked.n_bad} to quarantine{lost}")


def _write(records: Path, out: Path, present: dict[str, Path], results: dict[str, Checked]) -> None:
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, table in TABLES.items():
        target = partial / f"{table}.parquet"
        if name in present:
            _write_kept(present[name], target, results[name].keep)
        else:
            pl.DataFrame(schema=SCHEMAS[table]).write_parquet(target)
    for path in records.iterdir():
        if path.is_file() and path.stem not in TABLES.values():
            shutil.copyfile(path, partial / path.name)
    lines = [frame for name in results for frame in (results[name].quarantine, results[name].with_structure)]
    pl.concat(lines).write_parquet(partial / QUARANTINE)
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)


def _write_kept(source: Path, target: Path, keep: npt.NDArray[np.bool_]) -> None:
    """A table without the rows that do not stay, batch by batch."""
    import pyarrow.parquet as pq

    if keep.all():
        shutil.copyfile(source, target)
        return
    with (
        pq.ParquetWriter(target, pq.read_schema(source), compression="zstd", use_dictionary=False) as writer,
        threads(1) as pool,  # some rows are written while the next are decoded
    ):
        for _ in pool.map(writer.write_table, _staying(source, keep)):
            pass


def _staying(source: Path, keep: npt.NDArray[np.bool_]) -> Iterator[Any]:
    """Tables of what stays of each batch: the stretches between the removed rows, of which nothing is copied."""
    import pyarrow as pa

    start = 0
    for batch in arrow_batches(source, rows=WRITTEN_ROWS):
        removed = np.flatnonzero(~keep[start : start + len(batch)])
        begins, ends = [0, *(removed + 1)], [*removed, len(batch)]
        stretches = [batch.slice(begin, end - begin) for begin, end in zip(begins, ends, strict=True) if end > begin]
        if stretches:
            yield pa.Table.from_batches(stretches)
        start += len(batch)
