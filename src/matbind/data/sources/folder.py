"""A folder of structure files, each with the powder pattern, density of states and text of the same name beside it.

- Structures: `.cif` (one with several structures makes a material `NAME#BLOCK` of each), `.vasp`, POSCAR and CONTCAR
  (the material is their folder), or the final structure of a `vasprun.xml`.
- Powder patterns: see :func:`matbind.modalities.pxrd.files.read_pattern`.
- Densities of states: see :func:`matbind.modalities.dos.files.read_dos`; `NAME.vasprun.xml` or `NAME/vasprun.xml`.
- Text: `.txt` and `.md`.
- `properties.csv` in the folder itself: material_id, and band_gap, formation_energy_per_atom or e_above_hull.

Each may end in `.gz`. A `.txt` whose lines are mostly two or more numbers is a pattern or a DOS, any other is text;
`.csv`, `.dat` and such `.txt` are told apart by their header, and `NAME.xrd.csv` or `NAME.dos.csv` leave nothing to
tell. Of several files for the same the order of :data:`matbind.data.sources.folder_files.PREFERENCE` decides.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from matbind.base.errors import UserError
from matbind.base.ledger import Ledger, digest
from matbind.base.parallel import Workers
from matbind.data.sources.folder_files import MODALITIES, PROPERTIES, Contents, Found, list_contents
from matbind.data.sources.folder_properties import read_properties
from matbind.data.sources.raw import EXCLUDED, RawTables
from matbind.modalities.pxrd.grid import Grid
from matbind.modalities.pxrd.wavelength import parse_wavelength
from matbind.modalities.table import modality_names, part

READERS = 1  # counted up when a reader finds something else in the same file, so that nothing old is kept
CHUNK = 32  # files a worker reads before the results are kept
MOST_LINES = 20  # of a report about single files
TABLES = ("structures", "dos", "text", "pxrd", "excluded")


@dataclass(frozen=True, slots=True)
class _Options:
    """What a result depends on besides the file."""

    grid: Grid
    wavelength: str | float | None


@dataclass(frozen=True, slots=True)
class _Job:
    directory: Path
    found: Found
    digest: str
    options: _Options


def read(
    directory: Path,
    *,
    grid: Grid,
    wavelength: str | float | None,
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
        grid: angles and wavelength of the patterns, such as `prepare.pxrd` of the settings.
        wavelength: of patterns whose file names none; see :func:`matbind.modalities.pxrd.wavelength.parse_wavelength`.
        scratch: directory for results as they come.
        workers: that read files side by side.
        retry_failed: read files again that could not be read before.
        log: is told the progress, the wavelengths used and what may be wrong, in sentences.

    Returns:
        Tables with these columns besides the usual: structures with source (the file) and warning, dos with n_atoms
        and note, pxrd with wavelength_angstrom and note.

    Raises:
        UserError: if there is no such folder, it holds no structure file, the wavelength is none, or `properties.csv`
            or a part in `scratch` cannot be used.
    """
    if wavelength is not None:
        try:
            parse_wavelength(wavelength)
        except ValueError as error:
            raise UserError(str(error)) from error
    contents = list_contents(directory)
    by_modality: dict[str, list[Found]] = {
        m: [each for each in contents.found if each.modality == m] for m in MODALITIES
    }
    if not by_modality["crystal"]:
        raise UserError(f"{directory}: holds no structure file, expected .cif, .vasp, POSCAR, CONTCAR or vasprun.xml")
    properties = read_properties(directory / PROPERTIES, log=log)
    log(f"{directory}: " + ", ".join(f"{len(each)} {name}" for name, each in by_modality.items()) + " to read")
    if contents.ignored.total():
        kinds = ", ".join(f"{n} {ending}" for ending, n in contents.ignored.most_common(5))
        log(f"{contents.ignored.total()} other files are left alone ({kinds})")
    options = _Options(
        Grid(wavelength_angstrom=grid.wavelength_angstrom, two_theta_deg=grid.two_theta_deg, n_points=grid.n_points),
        wavelength,
    )
    excluded = list(contents.excluded)
    tables = {}
    for name in modality_names():
        jobs = _jobs(directory, by_modality[name], contents, options)
        tables[name], failures = _worked(name, jobs, scratch, workers, retry_failed=retry_failed, log=log)
        excluded += failures
    structures = _with_sources(tables.pop("crystal"), by_modality["crystal"])
    if properties is not None:
        structures = structures.join(properties, on="material_id", how="left", maintain_order="left")
    raw = RawTables(
        structures,
        tables,
        excluded=pl.DataFrame(sorted(excluded), schema=EXCLUDED, orient="row"),
    )
    _tell(raw, log)
    return raw


def convert(
    directory: Path,
    out: Path,
    *,
    grid: Grid,
    wavelength: str | float | None,
    scratch: Path | None = None,
    workers: Workers,
    retry_failed: bool = False,
    log: Callable[[str], None],
) -> dict[str, int]:
    """Read a folder and write it as a directory of tables, which appears only when it is whole; see :func:`read`.

    Args:
        directory: of the files.
        out: directory of tables to write; an earlier one is replaced.
        grid: of :func:`read`.
        wavelength: of :func:`read`.
        scratch: by default `out` with the ending `.parts`.
        workers: of :func:`read`.
        retry_failed: of :func:`read`.
        log: of :func:`read`.

    Returns:
        Number of rows of each table.

    Raises:
        UserError: as :func:`read`; and if `out` holds anything but such tables, or no structure can be read.
    """
    _check_replaceable(out)
    raw = read(
        directory,
        grid=grid,
        wavelength=wavelength,
        scratch=scratch or out.with_name(out.name + ".parts"),
        workers=workers,
        retry_failed=retry_failed,
        log=log,
    )
    if raw.structures.is_empty():
        reason = raw.excluded.filter(pl.col("modality") == "crystal")["reason"][0]
        raise UserError(f"{directory}: none of the structure files can be read; the first: {reason}")
    return write(raw, out)


def write(tables: RawTables, out: Path) -> dict[str, int]:
    """Write tables as a directory that :func:`matbind.data.sources.tables.read` reads; empty ones are left out.

    Returns:
        Number of rows of each table.

    Raises:
        UserError: if `out` is there and holds anything but such tables.
    """
    _check_replaceable(out)
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    counts = {}
    for name in TABLES:
        table = _table(tables, name)
        counts[name] = len(table)
        if len(table):
            table.write_parquet(partial / f"{name}.parquet", compression="zstd")
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
    return counts


def _table(tables: RawTables, name: str) -> pl.DataFrame:
    return tables.structures if name == "structures" else tables.excluded if name == "excluded" else tables.table(name)


def _check_replaceable(out: Path) -> None:
    if not out.exists():
        return
    others = (
        [p.name for p in out.iterdir() if p.name not in {f"{t}.parquet" for t in TABLES}]
        if out.is_dir()
        else ["a file"]
    )
    if others:
        raise UserError(f"{out}: holds {min(others)}, expected a new directory or one of earlier tables to replace")


def _jobs(directory: Path, found: Sequence[Found], contents: Contents, options: _Options) -> list[_Job]:
    jobs = []
    for each in found:
        parts = [READERS, each.path, each.block, contents.digests[each.path]]
        if each.modality == "pxrd":
            parts.append(options)
        jobs.append(_Job(directory, each, digest(*parts), options))
    return jobs


def _worked(
    name: str,
    jobs: list[_Job],
    scratch: Path,
    workers: Workers,
    *,
    retry_failed: bool,
    log: Callable[[str], None],
) -> tuple[pl.DataFrame, list[tuple[str, str, str]]]:
    """Results of all jobs of one modality, computed now or in an earlier run, and the failures."""
    ledger = Ledger(scratch / name, part(name, "files").COLUMNS)
    items = [(job.found.material_id, job.digest) for job in jobs]
    waiting = [jobs[i] for i in ledger.open_items(items, retry_failed=retry_failed)]
    if len(waiting) < len(jobs):
        log(f"{name}: {len(jobs) - len(waiting)} of {len(jobs)} are known from an earlier run")
    chunks = [waiting[i : i + CHUNK] for i in range(0, len(waiting), CHUNK)]
    done = 0
    for rows in workers.map(_read_chunk, chunks):
        ledger.add(rows)
        done += len(rows)
        log(f"{name}: {done} of {len(waiting)} read")
    failures: list[tuple[str, str, str]] = [(of, name, reason) for of, reason in ledger.failures(items).iter_rows()]
    return ledger.results(items), failures


def _read_chunk(jobs: Sequence[_Job]) -> list[dict[str, Any]]:
    return [_read_one(job) for job in jobs]


def _read_one(job: _Job) -> dict[str, Any]:
    path = job.directory / job.found.path
    row: dict[str, Any] = {"material_id": job.found.material_id, "digest": job.digest}
    try:
        own, of = job.options, job.found
        return row | part(of.modality, "files").row(path, records=own.grid, wavelength=own.wavelength, block=of.block)
    except UserError as error:
        return row | {"reason": str(error).replace(str(path), job.found.path)}
    except Exception as error:  # noqa: BLE001 - whatever a library raises, it concerns one file
        return row | {
            "reason": f"{job.found.path}: cannot be read ({type(error).__name__}: {' '.join(str(error).split())})"
        }


def _with_sources(structures: pl.DataFrame, found: Sequence[Found]) -> pl.DataFrame:
    sources = pl.DataFrame(
        [(each.material_id, each.path) for each in found],
        schema={"material_id": pl.String, "source": pl.String},
        orient="row",
    )
    return structures.join(sources, on="material_id", how="left", maintain_order="left")


def _tell(raw: RawTables, log: Callable[[str], None]) -> None:
    """The wavelengths that were used, what may be wrong, and what was left out."""
    used = Counter(note.split(";")[0] for note in raw.table("pxrd")["note"])
    for words, n in used.most_common(MOST_LINES):
        log(f"{n} powder pattern{'s' if n > 1 else ''}: {words}")
    doubtful = raw.structures.filter(pl.col("warning").is_not_null())
    lines = [f"{row['source']}: {row['warning']}" for row in doubtful.iter_rows(named=True)]
    lines += [f"left out: {reason}" for reason in raw.excluded["reason"]]
    for line in lines[:MOST_LINES]:
        log(line)
    if len(lines) > MOST_LINES:
        log(f"and {len(lines) - MOST_LINES} more; see the column warning of structures and the table excluded")
    counts = {name: len(_table(raw, name)) for name in TABLES}
    log(", ".join(f"{key} {value}" for key, value in counts.items()))
