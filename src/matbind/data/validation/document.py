"""What the validate stage found, as the content of its report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.data.validation.histograms import histograms
from matbind.data.validation.quarantine import kept
from matbind.modalities.checks import Outcome, worst_first
from matbind.modalities.table import part, structure_name

N_WORST = 10


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks found in one table.

    Attributes:
        summary: one row a value.
        outcomes: of every check.
        quarantine: lines of the quarantine table, own faults only.
        with_structure: lines for values that leave because their structure does.
    """

    summary: pl.DataFrame
    outcomes: list[Outcome]
    quarantine: pl.DataFrame
    with_structure: pl.DataFrame

    @property
    def n_bad(self) -> int:
        """Rows with a fault of their own."""
        return self.quarantine["row"].n_unique()

    @property
    def keep(self) -> npt.NDArray[np.bool_]:
        """Which rows stay."""
        return kept(len(self.summary), self.quarantine, self.with_structure)


def describe(
    allowed_shares: dict[str, float], results: dict[str, Checked], structures: pl.DataFrame, duplicates: pl.DataFrame
) -> dict[str, Any]:
    """The content of `validation.json`.

    Args:
        allowed_shares: largest share of bad values by modality.
        results: of every modality that is there.
        structures: rows of `structures.parquet`.
        duplicates: structures that stand in a group of equal ones: material_id, formula, split, duplicate_of.

    Returns:
        Counts, every expectation with its worst offenders, histograms, duplicates; plain values for JSON.
    """
    formulas = dict(structures.drop_nulls("material_id").select("material_id", "formula").iter_rows())
    modalities: dict[str, Any] = {}
    for name, checked in results.items():
        n = len(checked.summary)
        allowed = allowed_shares[name]
        modalities[name] = {
            "noun": part(name, "records").NOUN,
            "values": n,
            "quarantined": checked.n_bad,
            "share": checked.n_bad / n if n else 0.0,
            "max_quarantined_share": allowed,
            "removed_with_structure": len(checked.with_structure),
            "kept": int(checked.keep.sum()),
            "passed": checked.n_bad <= allowed * n,
            "expectations": [_expectation(outcome, checked.summary, formulas) for outcome in checked.outcomes],
            "histograms": histograms(checked.summary, checked.outcomes),
        }
    stay = results[structure_name()].keep
    sides = structures.filter(pl.Series(stay))["split"].value_counts(sort=True)
    return {
        "passed": all(block["passed"] for block in modalities.values()),
        "materials": len(structures),
        "materials_kept": int(stay.sum()),
        "split": dict(sides.iter_rows()),
        "duplicates": {
            "groups": duplicates["duplicate_of"].n_unique(),
            "materials": len(duplicates),
            "largest": [
                {"formula": formula, "material_ids": ids}
                for formula, ids in duplicates.group_by("duplicate_of", maintain_order=True)
                .agg(pl.col("formula").first(), pl.col("material_id"))
                .sort(pl.col("material_id").list.len(), descending=True, maintain_order=True)
                .head(N_WORST)
                .select("formula", "material_id")
                .iter_rows()
            ],
        },
        "modalities": modalities,
    }


def _expectation(outcome: Outcome, summary: pl.DataFrame, formulas: dict[str, str]) -> dict[str, Any]:
    reasons = outcome.reasons()
    worst = []
    for position in worst_first(outcome)[:N_WORST]:
        row = outcome.rows[position]
        material_id = summary["material_id"][row]
        worst.append(
            {
                "material_id": material_id,
                "formula": summary["formula"][row] if "formula" in summary.columns else formulas.get(material_id),
                "row": row,
                "reason": reasons[position],
            }
        )
    return {
        "name": outcome.check.name,
        "measure": outcome.check.column,
        "minimum": outcome.check.minimum,
        "maximum": outcome.check.maximum,
        "checked": outcome.n_checked,
        "failed": len(outcome.rows),
        "worst": worst,
    }


def refusal(document: dict[str, Any], present: dict[str, Path], index: Path) -> str:
    """One sentence on why the stage fails: tables, counts, the expectation that fails most, the worst offenders."""
    parts = []
    for name, block in document["modalities"].items():
        if block["passed"]:
            continue
        first = max(block["expectations"], key=lambda e: e["failed"])
        worst = ", ".join(f"{w['material_id']} ({w['reason']})" for w in first["worst"][:3])
        parts.append(
            f"{present[name]}: {block['quarantined']} of {block['values']} {block['noun']} ({block['share']:.1%}) "
            f"are bad, expected at most {block['max_quarantined_share']:.1%} (validate.{name}.max_quarantined_share); "
            f"{first['failed']} fail {first['name']}, the worst are {worst}"
        )
    return "; ".join(parts) + f"; all of them are in {index}"
