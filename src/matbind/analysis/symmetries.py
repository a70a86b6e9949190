"""Space group and prototype of every material, computed once and kept until the structures change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl

from matbind.base.files import written_whole
from matbind.base.ledger import digest
from matbind.base.parallel import Workers
from matbind.materials import symmetry
from matbind.materials.structure import structure_of
from matbind.materials.symmetry import Symmetry, find_symmetries
from matbind.modalities.records import Records

SCHEMA: dict[str, Any] = {
    "material_id": pl.String,
    "space_group": pl.Int64,
    "crystal_system": pl.String,
    "prototype": pl.String,
    "site_elements": pl.List(pl.Int64),
    "site_orbits": pl.List(pl.String),
}
_STRUCTURE = ("material_id", "lattice", "atomic_numbers", "frac_coords", "site_index", "occupancy")


def write_symmetries(records: Path, *, out: Path, scratch: Path, workers: Workers) -> bool:
    """Write the symmetry of every material.

    Args:
        records: the records directory.
        out: the table to write: `SCHEMA`, nulls where the symmetry could not be determined.
        scratch: directory in which the table is kept by what it was made of.
        workers: where the structures are worked on.

    Returns:
        Whether it was computed; False if it lay in the scratch directory.
    """
    structures = Records(records).structures
    columns = [name for name in _STRUCTURE if name in structures.columns]
    hashes = structures.select(columns).hash_rows(seed=0).to_list()
    # All that the table depends on: the structures, the tolerance and the code.
    kept = scratch / f"{digest(*hashes, symmetry.SYMPREC_ANGSTROM, Path(symmetry.__file__).read_text())}.parquet"
    computed = not kept.exists()
    if computed:
        symmetries = find_symmetries(map(structure_of, structures.iter_rows(named=True)), workers=workers)
        rows = [_row(*pair) for pair in zip(structures["material_id"], symmetries, strict=True)]
        with written_whole(kept) as path:
            pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(path)
    with written_whole(out) as path:
        shutil.copyfile(kept, path)
    return computed


def read_symmetries(path: Path) -> list[Symmetry | None]:
    """Read the table, one entry a material."""
    return [
        Symmetry(space_group, prototype, tuple(zip(elements, orbits, strict=True))) if space_group else None
        for _, space_group, _, prototype, elements, orbits in pl.read_parquet(path).select(list(SCHEMA)).iter_rows()
    ]


def _row(material_id: str, determined: Symmetry | None) -> tuple[Any, ...]:
    if determined is None:
        return (material_id, *[None] * (len(SCHEMA) - 1))
    elements, orbits = [element for element, _ in determined.sites], [orbit for _, orbit in determined.sites]
    return (material_id, determined.space_group, determined.crystal_system, determined.prototype, elements, orbits)
