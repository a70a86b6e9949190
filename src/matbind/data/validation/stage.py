"""The validate stage: judge every table of a records directory, set aside what is bad, write the rest anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.base.errors import UserError
from matbind.base.files import write_json, written_whole, written_whole_directory
from matbind.base.parallel import threads
from matbind.data.validation.checkpoint import Checkpoints, flat, judged_rows
from matbind.data.validation.document import describe, page, refusal
from matbind.data.validation.quarantine import Checked, with_identity
from matbind.data.validation.suites import Expectation, parameters_of, suite_of
from matbind.modalities.records import arrow_batches, batches, checked_columns, columns_of, table_path
from matbind.modalities.table import modality_names, part, structure_name, value_names
from matbind.settings.params import Settings

Log = Callable[[str], None]
WRITTEN_ROWS = 1024
QUARANTINE = "quarantine.parquet"
GX = "gx"


def validate(
    settings: Settings, records: Path, out: Path, reports: Path, *, expectations: Path | None = None, log: Log
) -> dict[str, Any]:
    """Check a records directory and write what is sound as a new one.

    A bad modality value leaves alone; a bad structure takes its material's other values along. `out` appears only when
    it is whole: the tables without their bad rows, other files as they are, and `quarantine.parquet`. `reports`
    receives `validation.json`, `index.html` and the project of Great Expectations `gx`, also when the stage fails.

    Args:
        settings: all settings; `validate` is used, and of `prepare` what the records are like.
        records: directory to check.
        out: directory to write.
        reports: directory of the report.
        expectations: directory of the project's own suites; None for no further ones.
        log: takes the progress in sentences.

    Returns:
        The content of `validation.json`.

    Raises:
        UserError: if a table or a suite cannot be read, a larger share of a modality is bad than the settings allow, or
            a table as a whole is not as expected.
    """
    structure = structure_name()
    paths = {name: table_path(records, name) for name in modality_names()}
    present = {name: path for name, path in paths.items() if name == structure or path.exists()}
    for name, path in present.items():
        if "split" not in checked_columns(path, name) and name == structure:
            raise UserError(f"{path}: column split is missing, expected the side of every material")
    suites = {name: suite_of(name, expectations) for name in present}
    checkpoints = Checkpoints(reports / GX, data_docs=settings.validation.data_docs)
    stage = _Stage(settings, suites, checkpoints, log)
    structures = stage.judge_structures(present[structure])
    sound = structures.filter(pl.Series(stage.results[structure].keep))
    for name in value_names():
        if name in present:
            stage.judge_values(name, present[name], ids=structures["material_id"], sound=sound)
    checkpoints.settle()
    results = stage.results

    shares = {name: settings.validation[name].max_quarantined_share for name in results}
    document = describe(shares, results)
    write_json(reports / "validation.json", document)
    with written_whole(reports / "index.html") as path:
        path.write_text(page(document), encoding="utf-8")
    if not document["passed"]:
        shutil.rmtree(out, ignore_errors=True)  # what stands there is of other data
        raise UserError(refusal(document, present, reports / "index.html"))
    _write(records, out, present, results)
    return document


@dataclass(frozen=True, slots=True)
class _Stage:
    """What judging one table after the other takes, and what came of it so far."""

    settings: Settings
    suites: dict[str, list[Expectation]]
    checkpoints: Checkpoints
    log: Log
    results: dict[str, Checked] = field(default_factory=dict)

    def judge_structures(self, path: Path) -> pl.DataFrame:
        """Judge the table of structures and return its rows."""
        name = structure_name()
        validator = part(name, "validation").Validator(self.settings.validation[name], crystals=None, records=None)
        with threads() as pool:
            read = batches(path, name, rows=validator.batch_rows)
            parts = list(pool.map(lambda batch: (batch, validator.summarize(batch)), read))
        if not parts:
            raise UserError(f"{path}: the table has no rows, expected one a material")
        structures = pl.concat([batch for batch, _ in parts])
        summary = pl.concat([measures for _, measures in parts])
        ids = structures["material_id"]
        summary = validator.compare(with_identity(summary, ids), structures)
        self._judge(name, validator, summary, flat(structures, self.suites[name]), ids=ids, sound_ids=None)
        return structures

    def judge_values(self, name: str, path: Path, *, ids: pl.Series, sound: pl.DataFrame) -> None:
        """Judge the table of a modality that a material may lack."""
        suite = self.suites[name]
        validator = part(name, "validation").Validator(
            self.settings.validation[name], crystals=sound, records=self.settings.records(name)
        )
        # Compiled measures run outside the interpreter lock: some batches are measured while the next is decoded.
        with threads() as pool:
            read = batches(path, name, rows=validator.batch_rows)
            parts = list(pool.map(lambda batch: (flat(batch, suite), validator.summarize(batch)), read))
        if not parts:
            nothing = pl.DataFrame(schema=columns_of(name)).with_row_index("row")
            parts = [(flat(nothing, suite), validator.summarize(nothing))]
        table, summary = (pl.concat(part) for part in zip(*parts, strict=True))
        self._judge(name, validator, with_identity(summary, ids), table, ids=ids, sound_ids=sound["material_id"])

    def _judge(
        self,
        name: str,
        validator: Any,
        summary: pl.DataFrame,
        table: pl.DataFrame,
        *,
        ids: pl.Series,
        sound_ids: pl.Series | None,
    ) -> None:
        further = {"columns": list(columns_of(name)), "n_materials": len(ids)} | validator.parameters
        outcomes = self.checkpoints.run(
            name,
            self.suites[name],
            judged_rows(summary, table, self.suites[name]),
            parameters_of(self.settings.validation[name], further),
        )
        checked = self.results[name] = Checked.of(name, summary, outcomes, sound_ids=sound_ids)
        lost = f", {len(checked.with_structure)} leave with their structure" if len(checked.with_structure) else ""
        noun = part(name, "records").NOUN
        self.log(f"{name}: {len(checked.summary)} {noun} checked, {checked.n_quarantined} to quarantine{lost}")
        for outcome in outcomes:
            if not outcome.met and not outcome.refuses:
                where = f" in {len(outcome.rows)} rows" if outcome.rows else ""
                self.log(f"{name}, {outcome.severity}: {outcome.name} is not met{where}, {outcome.reasons[0]}")


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
    """Write a table without the rows that do not stay, batch by batch."""
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
    """Yield what stays of every batch as tables: the stretches between the removed rows, of which nothing is copied."""
    import pyarrow as pa

    start = 0
    for batch in arrow_batches(source, rows=WRITTEN_ROWS):
        removed = np.flatnonzero(~keep[start : start + len(batch)])
        begins, ends = [0, *(removed + 1)], [*removed, len(batch)]
        stretches = [batch.slice(begin, end - begin) for begin, end in zip(begins, ends, strict=True) if end > begin]
        if stretches:
            yield pa.Table.from_batches(stretches)
        start += len(batch)
