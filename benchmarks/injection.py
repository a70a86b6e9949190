"""Known faults, put into a copy of a records directory to see what the checks catch.

Each kind changes its own materials, so what is quarantined can be traced to its fault, and the rest must stay.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.faults import FAULTS, Fault, Row
from matbind.data.validation.quarantine import WITH_STRUCTURE
from matbind.modalities.records import read_table, table_path
from matbind.modalities.table import modality_names


@dataclass(slots=True)
class Injected:
    """Where faults of one kind were put.

    Attributes:
        fault: the kind.
        places: for each fault the rows of the table of which one must be set aside.
        material_ids: of all materials that the faults touch.
    """

    fault: Fault
    places: list[set[int]] = field(default_factory=list)
    material_ids: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Caught:
    """What became of the faults of one kind.

    Attributes:
        fault: the kind.
        injected: how many were put in.
        caught: how many were set aside.
        expectation: the one that caught most.
    """

    fault: Fault
    injected: int
    caught: int
    expectation: str


def measure(injected: list[Injected], quarantine: pl.DataFrame) -> tuple[list[Caught], pl.DataFrame]:
    """Compare what was set aside with what was put in.

    Args:
        injected: as :func:`inject` returned it.
        quarantine: as the validate stage wrote it.

    Returns:
        One entry a kind, and the lines of materials into which nothing was put.
    """
    faulty = quarantine.filter(pl.col("expectation") != WITH_STRUCTURE)
    touched = pl.Series(sorted(set().union(*(kind.material_ids for kind in injected))), dtype=pl.String)
    clean = faulty.filter(~pl.col("material_id").is_in(touched.implode()))
    rows = {m: faulty.filter(pl.col("modality") == m) for m in modality_names()}
    bad = {m: set(frame["row"]) for m, frame in rows.items()}
    table = []
    for kind in injected:
        m = kind.fault.modality
        of_kind = rows[m].filter(pl.col("row").is_in(list(set().union(*kind.places))))
        most = of_kind["expectation"].mode(maintain_order=True).to_list()
        caught = sum(bool(place & bad[m]) for place in kind.places)
        table.append(Caught(kind.fault, len(kind.places), caught, most[0] if most else ""))
    return table, clean


def inject(records: Path, out: Path, *, share: float = 0.01, seed: int = 0) -> list[Injected]:
    """Write a copy of a records directory in which each kind of fault stands in some of the materials.

    Args:
        records: a sound records directory.
        out: directory to write.
        share: of the materials, for each kind.
        seed: of the choice.

    Returns:
        Where each kind was put; kinds for which no eligible material is left have no places.
    """
    rng = np.random.default_rng(seed)
    tables = {m: read_table(table_path(records, m), m).with_row_index("row") for m in modality_names()}
    sizes = dict(tables["crystal"].select("material_id", pl.col("atomic_numbers").list.len()).iter_rows())
    rows_of = tables["crystal"].group_by("formula").agg("row")
    of_formula: dict[str, list[int]] = dict(rows_of.iter_rows())
    formula_of = dict(tables["crystal"].select("material_id", "formula").iter_rows())
    if "occupancy" not in tables["crystal"].columns:
        nothing = (
            pl.lit(None, pl.List(pl.Int64)).alias("site_index"),
            pl.lit(None, pl.List(pl.Float64)).alias("occupancy"),
        )
        tables["crystal"] = tables["crystal"].with_columns(*nothing)
    where = {m: {material_id: i for i, material_id in enumerate(table["material_id"])} for m, table in tables.items()}
    order = [str(i) for i in rng.permutation(tables["crystal"]["material_id"].to_numpy())]
    alone = {i for i in order if len(of_formula[formula_of[i]]) == 1}
    changed: dict[str, dict[int, Row]] = {m: {} for m in modality_names()}
    wanted = max(2, round(share * len(order)))
    used: set[str] = set()
    injected = []
    for fault in FAULTS:
        kind = Injected(fault)
        table, at = tables[fault.modality], where[fault.modality]
        # materials that share a formula are kept for that fault of the split, so that no other kind is drawn into it
        candidates = [i for i in order if i in at and i not in used and (i in alone) != (fault.of_shared_formula)]
        partners = [i for i in order[::-1] if i in at and i not in used and i in alone]
        for material_id in candidates:
            if len(kind.places) >= wanted:
                break
            row = table.row(at[material_id], named=True) | {"n_sites": sizes[material_id]}
            partner = next((i for i in partners if i != material_id and i not in used), None)
            if material_id in used or partner is None or not fault.eligible(row):
                continue
            same = of_formula[formula_of[material_id]]
            kind.material_ids |= {str(tables["crystal"]["material_id"][i]) for i in same}
            _put(
                fault,
                row=row,
                other=table.row(at[partner], named=True),
                at=at[material_id],
                changed=changed[fault.modality],
                n_rows=len(table),
                rng=rng,
                kind=kind,
            )
            if fault.mode == "exchange":
                kind.material_ids.add(partner)
                kind.places.append({at[partner]})
            if fault.of_formula:
                kind.places[-1] |= set(same)
            used |= kind.material_ids
        injected.append(kind)
    _write(records, out, tables, changed)
    return injected


def _put(
    fault: Fault,
    *,
    row: Row,
    other: Row,
    at: int,
    changed: dict[int, Row],
    n_rows: int,
    rng: np.random.Generator,
    kind: Injected,
) -> None:
    if fault.mode == "exchange":
        changed[int(other["row"])] = other | {"material_id": row["material_id"]}
        changed[at] = row | {"material_id": other["material_id"]}
        kind.places.append({at})
        return
    row = dict(row)
    fault.change(row, other, rng)
    if fault.mode == "copy":
        new = n_rows + sum(i >= n_rows for i in changed)
        changed[new] = row | {"row": new}
        kind.places.append({new, at})
    else:
        changed[at] = row
        kind.places.append({at})
    kind.material_ids |= {row["material_id"]} - {None}


def _write(records: Path, out: Path, tables: dict[str, pl.DataFrame], changed: dict[str, dict[int, Row]]) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name, table in tables.items():
        new = pl.DataFrame(
            [changed[name][i] | {"row": i} for i in sorted(changed[name])], schema=table.schema, strict=False
        )
        whole = pl.concat([table.filter(~pl.col("row").is_in(new["row"].implode())), new]).sort("row")
        whole.drop("row").write_parquet(table_path(out, name))
    for path in records.iterdir():
        if path.is_file() and not (out / path.name).exists():
            shutil.copyfile(path, out / path.name)
