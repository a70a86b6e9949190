"""The prepare stage: read a source, leave out what is no crystal, bring values to one form, split by formula."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from matbind.base.errors import UserError
from matbind.base.files import written_whole_directory
from matbind.base.parallel import SerialPool, Workers
from matbind.data.sources.raw import EXCLUDED, with_completed
from matbind.data.sources.read import read_source
from matbind.data.splits import split_by_formula
from matbind.materials.structure import structure_of
from matbind.modalities.material import SPLITS
from matbind.modalities.protocol import Excluded
from matbind.modalities.records import columns_of, table_path
from matbind.modalities.table import part, structure_name, value_names
from matbind.settings.params import Settings

CHUNK = 1024  # materials handed to a worker at a time
PLACE = "place among the structures"  # a column that no table of a source has


def prepare(
    settings: Settings,
    *,
    out: Path,
    completed: Path | None = None,
    scratch: Path | None = None,
    log: Callable[[str], None],
    workers: Workers | None = None,
) -> dict[str, Any]:
    """Write the records directory; it appears only when it is whole.

    A structure that is no crystal (overlapping atoms, singular cell, arrays that do not fit) is left out, and so is a
    value that belongs to no structure, is not whole, or that its modality refuses, such as a pattern on another grid;
    all are counted and listed in `excluded.parquet` with the reason. The files are the same whoever did the work.

    Args:
        settings: all settings; `prepare` and `seed` are used.
        out: the records directory to write.
        completed: what was made for materials without a value, see :func:`matbind.data.completion.complete.complete`.
        scratch: keeps the files of a folder as they are read; by default beside `out`.
        log: is told the progress in sentences.
        workers: check structures and bring values to one form; None for this process alone.

    Returns:
        Counts of materials, modalities, splits and exclusions.

    Raises:
        UserError: if the data are missing or unreadable, or too few materials remain to be split.
    """
    workers = workers or SerialPool()
    scratch = scratch or out.with_name(out.name + ".parts")
    raw = read_source(settings.prepare, scratch=scratch, workers=workers, log=log)
    if completed is not None:
        raw = with_completed(raw, completed)
    structures, excluded = _sound(raw.structures, settings.prepare.limit, workers)
    excluded += raw.excluded.rows()
    log(f"{len(structures)} structures read, {len(excluded)} excluded")
    shares = settings.prepare.split
    formulas = structures["formula"].to_list()
    split = split_by_formula(formulas, validation=shares.validation, test=shares.test, seed=settings.seed)
    missing = [side for side in SPLITS if side not in split]
    if missing:
        raise UserError(
            f"{settings.prepare.data}: {len(structures)} materials are too few to split, {missing[0]} would be empty"
        )
    structures, _ = part(structure_name(), "records").prepared(
        structures, structures, settings=settings.records(structure_name()), seed=settings.seed
    )
    structures = structures.with_columns(pl.Series("split", split))

    counts: dict[str, Any] = {"materials": len(structures)}
    with written_whole_directory(out) as unfinished:
        structures.write_parquet(table_path(unfinished, structure_name()))
        for name in value_names():
            usable, left_out = _usable(raw.table(name), name, kept=structures, known=raw.structures)
            work = partial(_prepared, name, settings=settings.records(name), seed=settings.seed)
            chunks = workers.map(work, _chunks(structures, usable))
            counts[name], failed = _write_values(chunks, unfinished, name, of=len(structures), log=log)
            excluded += left_out + failed
        pl.DataFrame(excluded, schema=EXCLUDED, orient="row").write_parquet(unfinished / "excluded.parquet")
    counts |= {side: split.count(side) for side in SPLITS} | {"excluded": len(excluded)}
    log(", ".join(f"{key} {value}" for key, value in counts.items()))
    return counts


def _sound(structures: pl.DataFrame, limit: int | None, workers: Workers) -> tuple[pl.DataFrame, list[Excluded]]:
    if limit is not None:
        structures = structures.gather_every(max(len(structures) // limit, 1)).head(limit)
    reasons = [reason for chunk in workers.map(faults, structures.iter_slices(CHUNK)) for reason in chunk]
    excluded = [
        (material_id, structure_name(), reason)
        for material_id, reason in zip(structures["material_id"], reasons, strict=True)
        if reason is not None
    ]
    return structures.filter(pl.Series(reasons, dtype=pl.String).is_null()), excluded


def _usable(
    table: pl.DataFrame, name: str, *, kept: pl.DataFrame, known: pl.DataFrame
) -> tuple[pl.DataFrame, list[Excluded]]:
    """Return the whole rows of the materials that are kept, and what is left out with the reason.

    The rows come in the order of the materials, with the place of each.
    """
    stray = table.join(known, on="material_id", how="anti", maintain_order="left")["material_id"]
    excluded = [(material_id, name, "no structure has this material_id") for material_id in stray]
    places = kept.select("material_id").with_row_index(PLACE)
    usable = table.join(places, on="material_id", maintain_order="right")
    for column in columns_of(name):
        empty = usable[column].is_null()
        reason = f"column {column} holds no value"
        excluded += [(material_id, name, reason) for material_id in usable.filter(empty)["material_id"]]
        usable = usable.filter(~empty)
    return usable, excluded


def faults(structures: pl.DataFrame) -> list[str | None]:
    """Return why each of some structures is no crystal, None where it is one."""
    return [_fault(row) for row in structures.iter_rows(named=True)]


def _fault(row: dict[str, Any]) -> str | None:
    from matbind.materials.contacts import overlap

    if not row["formula"]:
        return "column formula holds no value"
    try:
        return overlap(structure_of(row))
    except (ValueError, TypeError) as error:
        return str(error)


def _chunks(structures: pl.DataFrame, values: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield some structures at a time, with the values that belong to them."""
    bounds = values[PLACE].search_sorted(pl.int_range(0, len(structures) + CHUNK, CHUNK, eager=True))
    for chunk, (start, end) in zip(structures.iter_slices(CHUNK), pairwise(bounds), strict=True):
        yield chunk, values.slice(start, end - start)


def _prepared(
    name: str, chunk: tuple[pl.DataFrame, pl.DataFrame], *, settings: Any, seed: int
) -> tuple[pl.DataFrame, list[Excluded]]:
    """Bring the values of a chunk to the form of the records; see `RecordsPart.prepared` of the protocol.

    Only the section of the modality goes to the worker: the class of the whole section `prepare` is made while reading.
    """
    return part(name, "records").prepared(*chunk, settings=settings, seed=seed)


def _write_values(
    chunks: Iterator[tuple[pl.DataFrame, list[Excluded]]],
    directory: Path,
    name: str,
    *,
    of: int,
    log: Callable[[str], None],
) -> tuple[int, list[Excluded]]:
    """Write the table of a modality, chunk by chunk as they come."""
    import pyarrow.parquet as pq

    excluded: list[Excluded] = []
    written = 0
    schema = pl.DataFrame(schema=columns_of(name)).to_arrow().schema
    path = table_path(directory, name)
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:  # hardly a number repeats
        for values, left_out in chunks:
            writer.write_table(values.select(*columns_of(name)).to_arrow().cast(schema))
            written += len(values)
            excluded += left_out
            log(f"{part(name, 'records').NOUN}: {written} of {of}")
    return written, excluded
