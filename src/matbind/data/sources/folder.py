"""A folder of structure files, each with the spectra and texts of the same name beside it.

What there may be of each modality is said in its `files.py`: files of the endings `SUFFIXES` there, each perhaps packed
by gzip, told from those of other modalities by their content or by a qualifier such as in `NAME.xrd.csv`. Of several
files for the same the first in the order of these endings is read. A file with several structures makes a material
`NAME#BLOCK` of each; one that VASP gave its name, such as POSCAR, is of the material that its folder is called.
`properties.csv` in the folder itself has material_id, and band_gap, formation_energy_per_atom or e_above_hull.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from matbind.base.errors import UserError
from matbind.base.files import written_whole_directory
from matbind.base.ledger import Ledger, digest
from matbind.base.parallel import Workers
from matbind.data.sources.folder_files import PROPERTIES, Contents, Source, list_contents
from matbind.data.sources.folder_properties import read_properties
from matbind.data.sources.raw import EXCLUDED, RawTables
from matbind.modalities.records import table_path
from matbind.modalities.table import modality_names, part, structure_name, value_names
from matbind.settings.prepare import PrepareSettings

READERS = 1  # counted up when a reader finds something else in the same file, so that nothing old is kept
CHUNK = 32  # files a worker reads before the results are kept
MOST_LINES = 20  # of a report about single files


@dataclass(frozen=True, slots=True)
class _Job:
    """A file to read; `digest` names all that its result depends on."""

    directory: Path
    source: Source
    digest: str
    records: Any
    wavelength: str | float | None


def read(
    directory: Path,
    settings: PrepareSettings,
    *,
    scratch: Path,
    workers: Workers,
    retry_failed: bool = False,
    log: Callable[[str], None],
) -> RawTables:
    """Read a folder; what cannot be read is listed in `excluded` with the file and the reason, and the rest is read.

    The result of every file is kept in `scratch` as it comes: a run that was killed goes on where it was, and files
    that have not changed are not read again. The tables depend on the files and options alone.

    Args:
        directory: searched with all folders below it.
        settings: how the values of each modality are brought to one form, and the wavelength of patterns whose file
            names none.
        scratch: directory for results as they come.
        workers: that read files side by side.
        retry_failed: read files again that could not be read before.
        log: is told the progress, the decisions that readers took and what may be wrong, in sentences.

    Returns:
        Tables with the `COLUMNS` of each `files.py`; structures have the file as source too.

    Raises:
        UserError: if there is no such folder, it holds no structure file, the wavelength is none, or `properties.csv`
            or a part in `scratch` cannot be used.
    """
    _check_options(settings)
    structure = structure_name()
    contents = list_contents(directory)
    by_modality = {name: contents.of(name) for name in modality_names()}
    if not by_modality[structure]:
        expected = ", ".join(part(structure, "files").SUFFIXES)
        raise UserError(f"{directory}: holds no structure file, expected one of {expected}")
    properties = read_properties(directory / PROPERTIES, log=log)
    log(f"{directory}: " + ", ".join(f"{len(sources)} {name}" for name, sources in by_modality.items()) + " to read")
    if contents.ignored.total():
        kinds = ", ".join(f"{n} {ending}" for ending, n in contents.ignored.most_common(5))
        log(f"{contents.ignored.total()} other files are left alone ({kinds})")
    excluded = list(contents.excluded)
    tables = {}
    for name, sources in by_modality.items():
        jobs = _jobs(directory, sources, contents, settings)
        tables[name], failures = _results(name, jobs, scratch, workers, retry_failed=retry_failed, log=log)
        excluded += failures
    files = {"material_id": pl.String, "source": pl.String}
    paths = pl.DataFrame([(of.material_id, of.path) for of in by_modality[structure]], schema=files, orient="row")
    structures = tables.pop(structure).join(paths, on="material_id", how="left", maintain_order="left")
    if properties is not None:
        structures = structures.join(properties, on="material_id", how="left", maintain_order="left")
    raw = RawTables(structures, tables, excluded=pl.DataFrame(sorted(excluded), schema=EXCLUDED, orient="row"))
    _log_summary(raw, log)
    return raw


def convert(
    directory: Path,
    out: Path,
    settings: PrepareSettings,
    *,
    workers: Workers,
    retry_failed: bool = False,
    log: Callable[[str], None],
) -> dict[str, int]:
    """Read a folder and write it as a directory of tables, which appears only when it is whole; see :func:`read`.

    Results as they come are kept beside `out`, in a directory with the ending `.parts`; empty tables are left out.

    Args:
        directory: of the files.
        out: directory of tables for :func:`matbind.data.sources.read.read_tables`; an earlier one is replaced.
        settings: of :func:`read`, as are the others.
        workers: that read files side by side.
        retry_failed: read files again that could not be read before.
        log: is told the progress.

    Returns:
        Number of rows of each table.

    Raises:
        UserError: as :func:`read`; and if `out` holds anything but such tables, or no structure can be read.
    """
    _check_replaceable(out)
    scratch = out.with_name(out.name + ".parts")
    raw = read(directory, settings, scratch=scratch, workers=workers, retry_failed=retry_failed, log=log)
    if raw.structures.is_empty():
        reason = raw.excluded.filter(pl.col("modality") == structure_name())["reason"][0]
        raise UserError(f"{directory}: none of the structure files can be read; the first: {reason}")
    tables = _by_name(raw)
    with written_whole_directory(out) as unfinished:
        for name, table in tables.items():
            if len(table):
                table.write_parquet(unfinished / f"{name}.parquet", compression="zstd")
    return {name: len(table) for name, table in tables.items()}


def _by_name(tables: RawTables) -> dict[str, pl.DataFrame]:
    """Return every table by the name of its file without the ending."""
    values = {part(name, "records").TABLE: tables.table(name) for name in value_names()}
    return {part(structure_name(), "records").TABLE: tables.structures, **values, "excluded": tables.excluded}


def _check_replaceable(out: Path) -> None:
    if not out.exists():
        return
    known = {table_path(out, name) for name in modality_names()} | {out / "excluded.parquet"}
    others = [path.name for path in out.iterdir() if path not in known] if out.is_dir() else ["a file"]
    if others:
        raise UserError(f"{out}: holds {min(others)}, expected a new directory or one of earlier tables to replace")


def _check_options(settings: PrepareSettings) -> None:
    """Refuse what no file could be read with."""
    for name in modality_names():
        check = getattr(part(name, "files"), "check_options", None)
        if check is not None:
            try:
                check(wavelength=settings.wavelength)
            except ValueError as error:
                raise UserError(str(error)) from error


def _jobs(directory: Path, sources: Sequence[Source], contents: Contents, settings: PrepareSettings) -> list[_Job]:
    jobs = []
    for source in sources:
        records = settings.records(source.modality)
        options = () if records is None else (records, settings.wavelength)
        made_from = digest(READERS, source.path, source.block, contents.digests[source.path], *options)
        jobs.append(_Job(directory, source, made_from, records, settings.wavelength))
    return jobs


def _results(
    name: str, jobs: list[_Job], scratch: Path, workers: Workers, *, retry_failed: bool, log: Callable[[str], None]
) -> tuple[pl.DataFrame, list[tuple[str, str, str]]]:
    """Return the results of all jobs of one modality, computed now or in an earlier run, and the failures."""
    ledger = Ledger(scratch / name, part(name, "files").COLUMNS)
    items = [(job.source.material_id, job.digest) for job in jobs]
    waiting = [jobs[i] for i in ledger.open_items(items, retry_failed=retry_failed)]
    if len(waiting) < len(jobs):
        log(f"{name}: {len(jobs) - len(waiting)} of {len(jobs)} are known from an earlier run")
    done = 0
    for rows in workers.map(_read_chunk, [waiting[i : i + CHUNK] for i in range(0, len(waiting), CHUNK)]):
        ledger.add(rows)
        done += len(rows)
        log(f"{name}: {done} of {len(waiting)} read")
    failures = [(material_id, name, reason) for material_id, reason in ledger.failures(items).iter_rows()]
    return ledger.results(items), failures


def _read_chunk(jobs: Sequence[_Job]) -> list[dict[str, Any]]:
    return [_read_one(job) for job in jobs]


def _read_one(job: _Job) -> dict[str, Any]:
    source = job.source
    path = job.directory / source.path
    row: dict[str, Any] = {"material_id": source.material_id, "digest": job.digest}
    try:
        read_row = part(source.modality, "files").row
        return row | read_row(path, records=job.records, wavelength=job.wavelength, block=source.block)
    except UserError as error:
        return row | {"reason": str(error).replace(str(path), source.path)}
    except Exception as error:  # noqa: BLE001 - whatever a library raises, it concerns one file
        words = " ".join(f"{type(error).__name__}: {error}".split())
        return row | {"reason": f"{source.path}: cannot be read ({words})"}


def _log_summary(raw: RawTables, log: Callable[[str], None]) -> None:
    """Say what readers decided, what may be wrong, what was left out, and how many rows there are."""
    for name in value_names():
        notes = raw.table(name).to_dict().get("note", pl.Series(dtype=pl.String)).drop_nulls()
        decisions = Counter(note.split(";")[0] for note in notes if note)
        for decision, n in decisions.most_common(MOST_LINES):
            log(f"{n} of the {part(name, 'records').NOUN}: {decision}")
    doubtful = raw.structures.filter(pl.col("warning").is_not_null())
    lines = [f"{row['source']}: {row['warning']}" for row in doubtful.iter_rows(named=True)]
    lines += [f"left out: {reason}" for reason in raw.excluded["reason"]]
    for line in lines[:MOST_LINES]:
        log(line)
    if len(lines) > MOST_LINES:
        log(f"and {len(lines) - MOST_LINES} more; see the column warning of structures and the table excluded")
    log(", ".join(f"{name} {len(table)}" for name, table in _by_name(raw).items()))
