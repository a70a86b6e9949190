"""What the validate stage has to report: the content of `validation.json`, its page, and why the stage fails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from matbind.data.validation.outcome import CRITICAL, Outcome, worst_first
from matbind.data.validation.quarantine import Checked
from matbind.modalities.table import part, structure_name

N_WORST = 10
N_BINS = 48
SHOWN_SHARE = 0.002  # at each end of a histogram; values beyond are counted in the first and last bin


def describe(allowed_shares: dict[str, float], results: dict[str, Checked]) -> dict[str, Any]:
    """Make the content of `validation.json`.

    Args:
        allowed_shares: largest share of bad values by modality.
        results: of every modality that is there.

    Returns:
        Counts, every expectation with its worst offenders, histograms, duplicates; plain values for JSON.
    """
    structures = results[structure_name()]
    formulas = dict(structures.summary.drop_nulls("material_id").select("material_id", "formula").iter_rows())
    modalities: dict[str, Any] = {}
    for name, checked in results.items():
        n, n_quarantined = len(checked.summary), checked.n_quarantined
        modalities[name] = {
            "noun": part(name, "records").NOUN,
            "values": n,
            "quarantined": n_quarantined,
            "share": n_quarantined / n if n else 0.0,
            "max_quarantined_share": allowed_shares[name],
            "removed_with_structure": len(checked.with_structure),
            "kept": int(checked.keep.sum()),
            "passed": n_quarantined <= allowed_shares[name] * n and not any(map(_refuses_table, checked.outcomes)),
            "expectations": [_expectation(outcome, checked.summary, formulas) for outcome in checked.outcomes],
            "histograms": _histograms(checked.summary, checked.outcomes),
        }
    sides = structures.summary.filter(pl.Series(structures.keep))["split"].value_counts(sort=True)
    return {
        "passed": all(block["passed"] for block in modalities.values()),
        "materials": len(structures.summary),
        "materials_kept": int(structures.keep.sum()),
        "split": dict(sides.iter_rows()),
        "duplicates": _duplicates(structures.summary),
        "modalities": modalities,
    }


def _refuses_table(outcome: Outcome) -> bool:
    return outcome.refuses and not outcome.rows


def _expectation(outcome: Outcome, summary: pl.DataFrame, formulas: dict[str, str]) -> dict[str, Any]:
    worst: list[dict[str, Any]] = []
    for position in worst_first(outcome)[:N_WORST]:
        row = outcome.rows[position]
        material_id = summary["material_id"][row]
        formula = summary["formula"][row] if "formula" in summary.columns else formulas.get(material_id)
        reason = outcome.reasons[position]
        worst.append({"material_id": material_id, "formula": formula, "row": row, "reason": reason})
    if not outcome.rows:
        worst = [{"material_id": None, "formula": None, "row": None, "reason": reason} for reason in outcome.reasons]
    return {
        "name": outcome.name,
        "severity": outcome.severity,
        "met": outcome.met,
        "measure": outcome.measure,
        "minimum": outcome.minimum,
        "maximum": outcome.maximum,
        "checked": outcome.n_checked,
        "failed": len(outcome.reasons),
        "worst": worst,
    }


def _duplicates(summary: pl.DataFrame) -> dict[str, Any]:
    """Count the structures that stand in a group of equal ones, and list the largest groups."""
    copies = summary.filter(pl.len().over("duplicate_of") > 1)
    groups = (
        copies.group_by("duplicate_of", maintain_order=True)
        .agg(pl.col("formula").first(), pl.col("material_id").alias("material_ids"))
        .sort(pl.col("material_ids").list.len(), descending=True, maintain_order=True)
    )
    largest = groups.head(N_WORST).select("formula", "material_ids").to_dicts()
    return {"groups": len(groups), "materials": len(copies), "largest": largest}


def _histograms(summary: pl.DataFrame, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Count into bins the measures that take more than a handful of values, with the bounds that are expected."""
    bounds: dict[str, tuple[list[float], list[float]]] = {}
    for outcome in outcomes:
        if outcome.measure is None:
            continue
        low, high = bounds.setdefault(outcome.measure, ([], []))
        low.extend([] if outcome.minimum is None else [outcome.minimum])
        high.extend([] if outcome.maximum is None else [outcome.maximum])
    counted = []
    for column, (low, high) in bounds.items():
        if column not in summary.columns or not summary.schema[column].is_float():
            continue
        values = summary[column].drop_nulls().cast(pl.Float64).to_numpy()
        values = values[np.isfinite(values)]
        if len(np.unique(values)) <= N_BINS // 6:
            continue
        first, last = np.quantile(values, [SHOWN_SHARE, 1 - SHOWN_SHARE])
        if first == last:
            first, last = values.min(), values.max()
        first, last = _with_bounds(first, last, [*low, *high])
        counts, edges = np.histogram(np.clip(values, first, last), bins=N_BINS, range=(first, last))
        counted.append(
            {
                "measure": column,
                "first": float(edges[0]),
                "last": float(edges[-1]),
                "counts": counts.tolist(),
                "values": len(values),
                "minimum": max(low, default=None),
                "maximum": min(high, default=None),
            }
        )
    return counted


def _with_bounds(first: float, last: float, bounds: Sequence[float]) -> tuple[float, float]:
    """Widen a range to show the bounds that are not far from it."""
    near = [bound for bound in bounds if abs(bound - (first + last) / 2) <= last - first]
    return min(first, *near, last), max(last, *near, first)


def page(document: dict[str, Any]) -> str:
    """Render the content of `validation.json` as one HTML document that refers to nothing outside itself."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("matbind.data.validation", "assets")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"thousands": "{:,}".format, "percent": "{:.2%}".format}
    return environment.get_template("page.html.j2").render(document)


def refusal(document: dict[str, Any], present: dict[str, Path], index: Path) -> str:
    """Say in one sentence why the stage fails: tables, counts, the expectation that fails most, the worst offenders."""
    parts = []
    for name, block in document["modalities"].items():
        if block["passed"]:
            continue
        failing = [e for e in block["expectations"] if not e["met"] and e["severity"] == CRITICAL]
        of_table = [e for e in failing if e["worst"][0]["row"] is None]
        parts += [f"{present[name]}: {e['name']} fails, {e['worst'][0]['reason']}" for e in of_table]
        if block["quarantined"] > block["max_quarantined_share"] * block["values"]:
            first = max(failing, key=lambda expectation: expectation["failed"])
            worst = ", ".join(f"{offender['material_id']} ({offender['reason']})" for offender in first["worst"][:3])
            parts.append(
                f"{present[name]}: {block['quarantined']} of {block['values']} {block['noun']} ({block['share']:.1%}) "
                f"are bad, expected at most {block['max_quarantined_share']:.1%} "
                f"(validate.{name}.max_quarantined_share); "
                f"{first['failed']} fail {first['name']}, the worst are {worst}"
            )
    return "; ".join(parts) + f"; all of them are in {index}"
