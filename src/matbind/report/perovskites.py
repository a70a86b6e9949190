"""Figures 3 and 7: perovskites among other ABX3 compounds in the structure's embedding, with and without pXRD."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from matbind.report import paint
from matbind.report.blocks import Block, Cell, Notice, Plate, Rows, Table, gaps, instead, number
from matbind.report.inputs import Content, Inputs, available, leaves, reason, reasons
from matbind.report.style import COLOURS, INK, PALE, SOFT
from matbind.report.words import p_value, phrase, readable, share, signed

ADDED = "pxrd"  # what Figure 7 adds to a combination
PAPER_SET = "chalcogenides"
PREFERRED = (PAPER_SET, "chalcogenides_wide", "abx3")  # then whatever else there is
SAMPLES = {"all": "all splits, trained-on materials too", "test": "test split only"}
CLEAR_P = 0.05
PAIR_COLUMNS = (
    *("without", "with", "overlap_without", "overlap_with", "difference", "difference_standard_error", "relative"),
)


def answer(content: Content, _: Inputs) -> list[Block]:
    """Return figures 3 and 7 of the first set that has enough materials, and the table of all sets."""
    chosen = choose(content)
    blocks = _paper_set(content, chosen)
    if chosen is None:
        return blocks
    name, sample = chosen
    missing = gaps(content["results"][name][sample])
    return [*blocks, _overlap(content, *chosen), *missing, _with_and_without(content, *chosen), _table(content)]


def choose(content: Content) -> tuple[str, str] | None:
    """Return the set and the sample that the figures are of: the paper's, or the next one with enough materials."""
    results = available(content.get("results"))
    names = [*(name for name in PREFERRED if name in results), *results]
    usable = ((name, sample) for name in names for sample in SAMPLES if available(results[name].get(sample)))
    return next(usable, None)


def _paper_set(content: Content, chosen: tuple[str, str] | None) -> list[Block]:
    """Say why the figures are not of the paper's set, if so."""
    if chosen and chosen[0] == PAPER_SET:
        return []
    why = reasons(content["results"].get(PAPER_SET, {}).get(next(iter(SAMPLES))))
    other = f" The figures are of another set: {content['sets'][chosen[0]]['title']}." if chosen else ""
    return [Notice("The paper's set of sulfides and selenides", f"{why.rstrip('.')}.{other}")]


def _overlap(content: Content, name: str, sample: str) -> Plate:
    labels = content["sets"][name]
    counts = labels["materials"].get(sample, {})
    materials = f"{counts['perovskite']} perovskites and {counts['other']} others" if counts else ""
    results = available(content["results"][name][sample])
    least, most = (pick(results, key=lambda key: results[key]["overlap_area"]) for pick in (min, max))
    p_values = [result["p_permutation"] for result in results.values()]
    clear = sum(p is not None and p < CLEAR_P for p in p_values)
    ends = {"least": least, "least_area": results[least]["overlap_area"]}
    ends |= {"most": most, "most_area": results[most]["overlap_area"]}
    materials = f"{SAMPLES[sample]}: {materials}"
    counted_of = {"clear": clear, "clear_p": CLEAR_P, "n": len(results)}
    caption = phrase("figure.fig3_perovskite_overlap.caption", labels=labels, materials=materials, **ends, **counted_of)
    data = {"set": name, "sample": sample, "criterion": labels["criterion"], "combinations": results}
    return Plate("fig3_perovskite_overlap", caption, partial(draw_overlap, content["results"][name][sample]), data)


def draw_overlap(results: Mapping[str, Any]) -> Any:
    """Draw one panel a combination."""
    figure, axes = paint.grid(len(results), across=4, row=2.35, rest=0.3, sharex=True)
    for axis, (name, result) in zip(axes, results.items(), strict=True):
        why = reason(result)
        if why is None:
            _curves(axis, result)
            paint.finish(axis, xlabel="cosine similarity", lines="x")
            axis.set_yticks([])
        else:
            paint.say(axis, why)
        axis.set_title(name, fontsize=paint.LABEL, loc="left")
    return paint.legend(figure)


def _curves(axis: Any, result: Content) -> None:
    x, inside, outside = (result["curve"][key] for key in ("cosine", "perovskite", "other"))
    both = [min(heights) for heights in zip(inside, outside, strict=True)]
    axis.fill_between(x, both, color=PALE, linewidth=0, label="overlap")
    axis.plot(x, inside, color=COLOURS[0], linewidth=1.6, label="within perovskites")
    axis.plot(x, outside, color=COLOURS[1], linewidth=1.6, linestyle="--", label="within the others")
    axis.set_ylim(0, max([*inside, *outside]) * 1.75)
    permutation = result.get("p_permutation")
    text = f"overlap {share(result['overlap_area'])}\nKS {share(result['ks_statistic'])}"
    text += "" if permutation is None else f", {p_value(permutation)}"
    axis.text(0.03, 0.97, text, transform=axis.transAxes, va="top", fontsize=paint.SMALL, color=INK)


def _with_and_without(content: Content, name: str, sample: str) -> Block:
    pairs = {str(i): pair for i, pair in enumerate(content["with_and_without_pxrd"][name][sample])}
    rows: list[dict[str, Any]] = [{key: row.get(key) for key in PAIR_COLUMNS} for row in available(pairs).values()]
    if not rows:
        return instead("fig7_pxrd_overlap", reasons(pairs))
    mean = content["mean_relative_without_pxrd"][name][sample]
    higher = sum(row["difference"] > 0 for row in rows)
    errors = [row["difference_standard_error"] for row in rows]
    sure = sum(e is not None and abs(row["difference"]) > 2 * e for row, e in zip(rows, errors, strict=True))
    on_average = "" if mean is None else f", on average by {signed(100 * mean)[:-2]} %"
    numbers = {"higher": higher, "n": len(rows), "paper": 100 * content["paper"]["relative_without_pxrd"]}
    verdict = f"{sure} of the differences {'is' if sure == 1 else 'are'}"
    caption = phrase("figure.fig7_pxrd_overlap.caption", **numbers, on_average=on_average, verdict=verdict)
    return Plate("fig7_pxrd_overlap", caption, partial(draw_pairs, rows), rows)


def draw_pairs(pairs: Rows) -> Any:
    """Draw a line from without to with; the bar on it is the standard error of the difference."""
    figure, axes = paint.panel(1.4 + 0.45 * len(pairs), width=7.5)
    for y, row in enumerate(pairs):
        start, end, error = row["overlap_without"], row["overlap_with"], row["difference_standard_error"]
        axes.plot([start, end], [y, y], color=paint.EDGE, linewidth=2, zorder=1)
        axes.plot(start, y, "s", color=COLOURS[1], markersize=8, label="without pXRD")
        axes.plot(end, y, "o", color=COLOURS[0], markersize=8, label="with pXRD")
        if error is not None:
            axes.errorbar(end, y + 0.25, xerr=error, color=SOFT, capsize=3, linewidth=1.2)
    if any(row["difference_standard_error"] is not None for row in pairs):
        axes.plot([], [], color=SOFT, marker="|", label="standard error of the difference (\N{PLUS-MINUS SIGN})")
    paint.label_rows(axes, [f"{row['without']} (+ {ADDED})" for row in pairs])
    axes.set_ylim(len(pairs) - 0.3, -0.6)
    paint.finish(axes, xlabel="overlap area (smaller: perovskites stand further apart)", lines="x")
    return paint.legend(figure)


def _table(content: Content) -> Table:
    sets = content["sets"]
    rows = [
        [
            *(Cell(readable(name), hint=sets[name]["criterion"]), sample, combination),
            *(result["n_perovskite"], result["n_other"], result["overlap_area"], result.get("standard_error")),
            *(result["ks_statistic"], number(result["p_permutation"], "{:.2g}".format)),
            number(result["p_pairs"], "{:.1e}".format),
        ]
        for name, sample, combination, result in leaves(content["results"], 3)
    ]
    criteria = "; ".join(f"{readable(name)}: {labels['criterion']}" for name, labels in sets.items())
    return Table("separation", f"{criteria}.", rows, folded=True)
