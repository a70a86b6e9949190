"""The validate stage: check every table of a records directory, set aside what is bad, write the rest anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.base.errors import UserError
from matbind.base.files import write_json, written_whole, written_whole_directory
from matbind.base.parallel import threads
from matbind.data.validation.document import Checked, describe, refusal
from matbind.data.validation.page import page
from matbind.data.validation.quarantine import identity_checks, lost_with_structure, quarantined, with_identity
from matbind.data.validation.tables import arrow_batches, batches, check_table
from matbind.modalities.checks import run_checks
from matbind.modalities.records import columns_of, table_path
from matbind.modalities.table import modality_names, part, structure_name
from matbind.settings.params import Settings

Log = Callable[[str], None]
WRITTEN_ROWS = 1024
QUARANTINE = "quarantine.parquet"


def validate(settings: Settings, records: Path, out: Path, reports: Path, *, log: Log) -> dict[str, Any]:
    """Check a records directory and write what is sound as a new one.

    A bad modality value leaves alone; a bad structure takes its material's other values along. `out` appears only when
    it is whole: the tables without their bad rows, other files as they are, and `quarantine.parquet`. `reports`
    receives `validation.json` and `index.html`, also when the stage fails.

    Args:
        settings: all settings; `validate` is used, and of `prepare` what the records are like.
        records: directory to check.
        out: directory to write.
        reports: directory of the report.
        log: is told the progress in sentences.

    Returns:
        The content of `validation.json`.

    Raises:
        UserError: if a table cannot be read, or a larger share of a modality is bad than the settings allow.
    """
    structure = structure_name()
    paths = {name: table_path(records, name) for name in modality_names()}
    present = {name: path for name, path in paths.items() if name == structure or path.exists()}
    for name, path in present.items():
        columns = check_table(path, name)
        if name == structure and "split" not in columns:
            raise UserError(f"{path}: column split is missing, expected the side of every material")
    structures, checked, duplicates = _check_structures(settings.validation[structure], present[structure])
    results = {structure: checked}
    _tell(log, structure, checked)
    sound = structures.filter(pl.Series(checked.keep))
    for name in present:
        if name != structure:
            results[name] = _check_values(name, settings, present[name], ids=structures["material_id"], sound=sound)
            _tell(log, name, results[name])

    shares = {name: settings.validation[name].max_quarantined_share for name in results}
    document = describe(shares, results, structures, duplicates)
    reports.mkdir(parents=True, exist_ok=True)
    write_json(reports / "validation.json", document)
    with written_whole(reports / "index.html") as path:
        path.write_text(page(document))
    if not document["passed"]:
        shutil.rmtree(out, ignore_errors=True)  # what stands there is of other data
        raise UserError(refusal(document, present, reports / "index.html"))
    _write(records, out, present, results)
    return document


def _check_structures(settings: Any, path: Path) -> tuple[pl.DataFrame, Checked, pl.DataFrame]:
    name = structure_name()
    crystal: Any = part(name, "validation")
    with threads() as pool:
        read = batches(path, name, rows=crystal.BATCH_ROWS)
        parts = list(pool.map(lambda batch: (batch, crystal.summarize(batch, settings)), read))
    if not parts:
        raise UserError(f"{path}: the table has no rows, expected one a material")
    structures, summary = (pl.concat(part) for part in zip(*parts, strict=True))
    summary = with_identity(summary, structures["material_id"]).with_columns(crystal.split_conflicts(summary))
    group = pl.Series("duplicate_of", range(len(summary)))
    if settings.duplicates is not None:
        group = crystal.duplicate_groups(structures, summary, settings.duplicates)
    in_group = pl.len().over("duplicate_of") - pl.len().over("duplicate_of", "split")
    summary = summary.with_columns(group).with_columns(
        pl.when(pl.col("n_formula_elsewhere") > 0)
        .then(in_group)
        .otherwise(0)
        .cast(pl.Float64)
        .alias("n_duplicates_elsewhere")
    )
    expected = (*identity_checks(of_structures=True), *crystal.checks(settings), *crystal.SPLIT_CHECKS)
    outcomes = run_checks(summary, expected, suite=name)
    bad = quarantined(outcomes, summary, modality=name)
    copies = summary.filter(pl.len().over("duplicate_of") > 1).select("material_id", "formula", "split", "duplicate_of")
    return structures, Checked(summary, outcomes, bad, bad.clear()), copies


def _check_values(name: str, settings: Settings, path: Path, *, ids: pl.Series, sound: pl.DataFrame) -> Checked:
    validator = part(name, "validation").Validator(
        settings.validation[name], crystals=sound, records=settings.records(name)
    )
    # Compiled measures run outside the interpreter lock: some batches are measured while the next is decoded.
    with threads() as pool:
        parts = list(pool.map(validator.summarize, batches(path, name, rows=validator.batch_rows)))
    nothing = pl.DataFrame(schema=columns_of(name)).with_row_index("row")
    summary = with_identity(pl.concat(parts) if parts else validator.summarize(nothing), ids)
    outcomes = run_checks(summary, (*identity_checks(of_structures=False), *validator.checks()), suite=name)
    bad = quarantined(outcomes, summary, modality=name)
    return Checked(summary, outcomes, bad, lost_with_structure(summary, bad, sound["material_id"], modality=name))


def _tell(log: Log, name: str, checked: Checked) -> None:
    lost = f", {len(checked.with_structure)} leave with their structure" if len(checked.with_structure) else ""
    noun = part(name, "records").NOUN
    log(f"{name}: {len(checked.summary)} {noun} checked, {checked.n_bad} to quarantine{lost}")


def _write(records: Path, out: Path, present: dict[str, Path], results: dict[str, Checked]) -> None:
    with written_whole_directory(out) as unfinished:
        tables = {name: table_path(unfinished, name) for name in modality_names()}
        for name, target in tables.items():
            if name in present:
                _write_kept(present[name], target, results[name].keep)
            else:
                pl.DataFrame(schema=columns_of(name)).write_parquet(target)
        for path in records.iterdir():
            if path.is_file() and path.name not in {target.name for target in tables.values()}:
                shutil.copyfile(path, unfinished / path.name)
        lines = [frame for name in results for frame in (results[name].quarantine, results[name].with_structure)]
        pl.concat(lines).write_parquet(unfinished / QUARANTINE)


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
