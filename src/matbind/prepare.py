"""The prepare stage: read a source, leave out what is no crystal, simulate powder patterns, split by formula."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from matbind.errors import UserError
from matbind.features.diffraction import pattern_grid, simulate_pattern
from matbind.parallel import Here, Workers
from matbind.records import OPTIONAL_COLUMNS, SCHEMAS, SPLITS, structure_of
from matbind.settings import PatternSettings, Settings
from matbind.sources.raw import EXCLUDED, with_completed
from matbind.sources.read import read_source
from matbind.splits import split_by_formula
from matbind.structure import Structure

SHORTEST_DISTANCE_ANGSTROM = 0.5  # nothing is closer: the shortest bond of all, H-H, has 0.74
CHUNK = 1024  # materials handed to a worker at a time
Excluded = list[tuple[str, str, str]]  # material_id, modality, reason


def prepare(
    settings: Settings,
    *,
    out: Path,
    completed: Path | None = None,
    scratch: Path | None = None,
    report: Callable[[str], None],
    workers: Workers | None = None,
) -> dict[str, Any]:
    """Write the records directory; it appears only when it is whole.

    A structure that is no crystal (overlapping atoms, singular cell, arrays that do not fit) is left out, and so is a
    DOS, pattern or text that belongs to no structure or lacks a value, and a measured pattern on another grid; all are
    counted and listed in `excluded.parquet` with the reason. The files are the same whoever did the work.

    Args:
        settings: all settings; `prepare` and `seed` are used.
        out: the records directory to write.
        completed: texts and DOS that were made for materials without, see :func:`matbind.complete.complete`.
        scratch: keeps the files of a folder as they are read; by default beside `out`.
        report: is told the progress in sentences.
        workers: check structures and simulate patterns; None for this process alone.

    Returns:
        Counts of materials, modalities, splits and exclusions.

    Raises:
        UserError: if the data are missing or unreadable, or too few materials remain to be split.
    """
    workers = workers or Here()
    scratch = scratch or out.with_name(out.name + ".parts")
    raw = read_source(settings.prepare, scratch=scratch, workers=workers, report=report)
    if completed is not None:
        raw = with_completed(raw, completed)
    structures, excluded = _sound(raw.structures, settings.prepare.limit, workers)
    excluded += raw.excluded.rows()
    report(f"{len(structures)} structures read, {len(excluded)} excluded")
    split = split_by_formula(
        structures["formula"].to_list(),
        validation=settings.prepare.split.validation,
        test=settings.prepare.split.test,
        seed=settings.seed,
    )
    missing = [side for side in SPLITS if side not in split]
    if missing:
        raise UserError(
            f"{settings.prepare.data}: {len(structures)} materials are too few to split, {missing[0]} would be empty"
        )
    kept = [*SCHEMAS["structures"], *(c for c in OPTIONAL_COLUMNS if c in structures.columns)]
    structures = structures.select(kept).with_columns(pl.Series("split", split))

    unfinished = out.with_name(out.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    structures.write_parquet(unfinished / "structures.parquet")
    ids = set(structures["material_id"])
    known = set(raw.structures["material_id"])
    counts: dict[str, Any] = {"materials": len(ids)}
    usable: dict[str, pl.DataFrame] = {}
    densities = _per_cell(raw.dos, structures)
    for name, table in (("dos", densities), ("text", raw.text), ("pxrd", raw.pxrd)):
        usable[name], left_out = _usable(table, name, ids=ids, known=known)
        excluded += left_out
    for name in ("dos", "text"):
        usable[name].write_parquet(unfinished / f"{name}.parquet")
        counts[name] = len(usable[name])
    simulate = partial(_patterns, settings=settings.prepare.pxrd, seed=settings.seed)
    parts = workers.map(simulate, _chunks(structures, usable["pxrd"]))
    counts["pxrd"], failed = _write_patterns(parts, unfinished / "pxrd.parquet", of=len(structures), report=report)
    excluded += failed
    pl.DataFrame(excluded, schema=EXCLUDED, orient="row").write_parquet(unfinished / "excluded.parquet")
    shutil.rmtree(out, ignore_errors=True)
    unfinished.rename(out)
    counts |= {side: split.count(side) for side in SPLITS} | {"excluded": len(excluded)}
    report(", ".join(f"{key} {value}" for key, value in counts.items()))
    return counts


def _sound(structures: pl.DataFrame, limit: int | None, workers: Workers) -> tuple[pl.DataFrame, Excluded]:
    if limit is not None:
        structures = structures.gather_every(max(len(structures) // limit, 1)).head(limit)
    reasons = [reason for part in workers.map(faults, structures.iter_slices(CHUNK)) for reason in part]
    excluded = [
        (material_id, "crystal", reason)
        for material_id, reason in zip(structures["material_id"], reasons, strict=True)
        if reason is not None
    ]
    return structures.filter(pl.Series(reasons, dtype=pl.String).is_null()), excluded


def _per_cell(dos: pl.DataFrame, structures: pl.DataFrame) -> pl.DataFrame:
    """Scale each DOS to the cell its material is given in; a source may count states of the primitive cell.

    Args:
        dos: with `n_atoms`, the sites of the cell the states are counted in, or without: then it is the given cell.
        structures: the cells.
    """
    if "n_atoms" not in dos.columns:
        return dos
    sites = structures.select("material_id", n_sites=pl.col("frac_coords").list.len() / 3)
    factor = (pl.col("n_sites") / pl.col("n_atoms")).fill_null(1.0).cast(pl.Float32)
    return (
        dos.join(sites, on="material_id", how="left", maintain_order="left")
        .with_columns(densities=pl.col("densities") * factor)
        .select(dos.columns)
    )


def _usable(table: pl.DataFrame, name: str, *, ids: set[str], known: set[str]) -> tuple[pl.DataFrame, Excluded]:
    """Whole rows of the materials that are kept, and what is left out with the reason."""
    excluded = [
        (m, name, "no structure has this material_id")
        for m in table.filter(~pl.col("material_id").is_in(known))["material_id"]
    ]
    own = table.filter(pl.col("material_id").is_in(ids)).select(*SCHEMAS[name])
    for column in own.columns:
        empty = own[column].is_null()
        excluded += [(m, name, f"column {column} holds no value") for m in own.filter(empty)["material_id"]]
        own = own.filter(~empty)
    return own, excluded


def faults(structures: pl.DataFrame) -> list[str | None]:
    """Why each of some structures is no crystal, None where it is one."""
    return [_fault(row) for row in structures.iter_rows(named=True)]


def _fault(row: dict[str, Any]) -> str | None:
    from matbind.features.neighbors import neighbor_graph

    if not row["formula"]:
        return "column formula holds no value"
    try:
        structure = structure_of(row)
    except (ValueError, TypeError) as error:
        return str(error)
    graph = neighbor_graph(structure, max_neighbors=1)
    near = float(graph.distance[graph.neighbor >= 0].min(initial=np.inf))
    if near < SHORTEST_DISTANCE_ANGSTROM:
        return f"two atoms are {near:.3f} angstrom apart, expected at least {SHORTEST_DISTANCE_ANGSTROM}"
    return None


def _chunks(structures: pl.DataFrame, measured: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Some structures at a time, with the measured patterns that belong to them."""
    for chunk in structures.iter_slices(CHUNK):
        yield chunk, measured.filter(pl.col("material_id").is_in(chunk["material_id"].implode()))


def _write_patterns(
    parts: Iterator[tuple[pl.DataFrame, Excluded]], path: Path, *, of: int, report: Callable[[str], None]
) -> tuple[int, Excluded]:
    """Write patterns as they come."""
    import pyarrow.parquet as pq

    failed: Excluded = []
    written = 0
    schema = pl.DataFrame(schema=SCHEMAS["pxrd"]).to_arrow().schema
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for patterns, without in parts:
            writer.write_table(patterns.to_arrow().cast(schema))
            written += len(patterns)
            failed += without
            report(f"powder patterns: {written + len(failed)} of {of}")
    return written, failed


def _patterns(
    chunk: tuple[pl.DataFrame, pl.DataFrame], *, settings: PatternSettings, seed: int
) -> tuple[pl.DataFrame, Excluded]:
    """Measured patterns as they are, simulated ones for the rest, and why some materials have none."""
    structures, measured = chunk
    start_deg, stop_deg = settings.two_theta_deg
    grid = pattern_grid(start_deg=start_deg, stop_deg=stop_deg, n_points=settings.n_points)
    own = {row["material_id"]: (row["pattern"], row["simulated"]) for row in measured.iter_rows(named=True)}
    rows: list[tuple[str, Any, bool]] = []
    failed: Excluded = []
    for row in structures.iter_rows(named=True):
        material_id = row["material_id"]
        if material_id in own:
            pattern, simulated = own[material_id]
            if len(pattern) == settings.n_points:
                rows.append((material_id, pattern, simulated))
            else:
                reason = f"the pattern has {len(pattern)} points, expected {settings.n_points} (prepare.pxrd.n_points)"
                failed.append((material_id, "pxrd", reason))
            continue
        try:
            rows.append((material_id, _simulated(structure_of(row), material_id, settings, grid, seed), True))
        except ValueError as error:
            failed.append((material_id, "pxrd", str(error)))
    return pl.DataFrame(rows, schema=SCHEMAS["pxrd"], orient="row"), failed


def _simulated(structure: Structure, material_id: str, settings: PatternSettings, grid: Any, seed: int) -> Any:
    # The size is drawn from the id, so a material keeps its pattern whatever else is in the data set.
    low, high = np.log(settings.crystallite_size_nm)
    rng = np.random.default_rng([seed, *material_id.encode()])
    return simulate_pattern(
        structure,
        crystallite_size_nm=float(np.exp(rng.uniform(low, high))),
        wavelength_angstrom=settings.wavelength_angstrom,
        grid_deg=grid,
    )
