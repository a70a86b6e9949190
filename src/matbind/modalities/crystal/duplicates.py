"""Which structures of one formula are the same crystal."""

from __future__ import annotations

from functools import cache

import polars as pl

from matbind.materials.structure import structure_of
from matbind.modalities.crystal.settings import DuplicateSettings


def duplicate_groups(structures: pl.DataFrame, summary: pl.DataFrame, settings: DuplicateSettings) -> pl.Series:
    """Number the groups of equal structures.

    A structure is compared with the first one of every group of its formula whose volume per atom is near its, so a
    formula with many copies of few crystals costs few comparisons.

    Args:
        structures: rows of `structures.parquet`.
        summary: their summary rows, in the same order, with formula_key and volume_per_atom_angstrom3 (null where the
            structure is not sound; it then stands alone).
        settings: tolerances of pymatgen's StructureMatcher.

    Returns:
        Shape (n,): the row number of the first structure of the group; that of the row itself where it stands alone.
    """
    group = list(range(len(summary)))
    volumes = summary["volume_per_atom_angstrom3"].to_list()
    candidates = summary.with_row_index("position").filter(
        pl.col("volume_per_atom_angstrom3").is_not_null() & (pl.col("formula_key") != "")
    )
    formulas = (
        candidates.group_by("formula_key", maintain_order=True)
        .agg("position")
        .filter(pl.col("position").list.len() > 1)
    )
    if formulas.is_empty():
        return pl.Series("duplicate_of", group)
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher(
        ltol=settings.length, stol=settings.site, angle_tol=settings.angle_deg, primitive_cell=False
    )
    primitive = cache(lambda i: structure_of(structures.row(i, named=True)).to_pymatgen().get_primitive_structure())
    reduced = cache(lambda i: primitive(i).get_reduced_structure("niggli"))  # once, not for every comparison

    def equal(i: int, j: int) -> bool:
        if len(primitive(i)) != len(primitive(j)):
            return False
        return bool(matcher.fit(reduced(i), reduced(j), skip_structure_reduction=True))

    for positions in formulas["position"]:
        leaders: list[int] = []
        for i in positions:
            near = (j for j in leaders if abs(volumes[i] - volumes[j]) <= settings.volume * volumes[j])
            same = next((j for j in near if equal(j, i)), None)
            if same is None:
                leaders.append(i)
            else:
                group[i] = same
        primitive.cache_clear()
        reduced.cache_clear()
    return pl.Series("duplicate_of", group)
