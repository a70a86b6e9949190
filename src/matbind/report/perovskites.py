"""Figures 3 and 7: perovskites among other ABX3 compounds in the crystal embedding, with and without pXRD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from matbind.report import paint
from matbind.report.blocks import Block, Cell, Notice, Plate, Section, Table, gaps, number
from matbind.report.inputs import Content, Inputs, available, reason, reasons
from matbind.report.style import COLOURS, INK
from matbind.report.words import counted, p_value, readable, share, signed

PAPER_SET = "chalcogenides"
PREFERRED = (PAPER_SET, "chalcogenides_wide", "abx3")  # then whatever else there is
SAMPLES = ("all", "test")
SAMPLE_NAMES = {"all": "all splits, trained-on materials too", "test": "test split only"}
TITLE = "Does it set perovskites apart?"
LEAD = (
    "Cosine similarities within the perovskites and within the other ABX3 compounds, of their crystal embeddings. Two "
    "curves that overlap little say that the two groups are laid out differently. The permutation p-value relabels "
    "materials; pairs share materials, so the usual Kolmogorov-Smirnov p-value is far too small."
)


def section(inputs: Inputs) -> Section:
    """Figures 3 and 7 of the first set that has enough materials, and the table of all sets."""
    found = inputs.answers["perovskites"]
    why = reason(found)
    if why is not None:
        return Section("perovskites", TITLE, LEAD, [Notice("Perovskites", why)])
    chosen = choose(found)
    blocks: list[Block] = _paper_set(found, chosen)
    if chosen is None:
        return Section("perovskites", TITLE, LEAD, blocks)
    missing = gaps(found["results"][chosen[0]][chosen[1]])
    blocks += [_overlap_plate(found, *chosen), *missing, *_pxrd_plate(found, *chosen), _table(found)]
    return Section("perovskites", TITLE, LEAD, blocks)


def choose(found: Content) -> tuple[str, str] | None:
    """The set and the sample that the figures are of: the paper's, or the next one with enough materials."""
    if reason(found) is not None:
        return None
    names = [*(name for name in PREFERRED if name in found["results"]), *found["results"]]
    for name in dict.fromkeys(names):
        for sample in SAMPLES:
            if available(found["results"][name].get(sample)):
                return name, sample
    return None


def _paper_set(found: Content, chosen: tuple[str, str] | None) -> list[Block]:
    """Why the figures are not of the paper's set, if so."""
    if chosen and chosen[0] == PAPER_SET:
        return []
    results = found["results"].get(PAPER_SET, {})
    why = reasons(results.get(SAMPLES[0]))
    other = f" The figures are of another set: {found['sets'][chosen[0]]['title']}." if chosen else ""
    return [Notice("The paper's set of sulfides and selenides", f"{why.rstrip('.')}.{other}")]


def _described(found: Content, name: str, sample: str) -> str:
    each = found["sets"][name]
    counts = each["materials"].get(sample, {})
    told = f"{counts['perovskite']} perovskites and {counts['other']} others" if counts else ""
    return f"{each['title']} ({each['criterion']}; {each['source']}), {SAMPLE_NAMES[sample]}: {told}."


def _overlap_plate(found: Content, name: str, sample: str) -> Plate:
    results = available(found["results"][name][sample])
    least, most = (pick(results, key=lambda each: results[each]["overlap_area"]) for pick in (min, max))
    clear = [each for each, r in results.items() if r["p_permutation"] is not None and r["p_permutation"] < 0.05]  # noqa: PLR2004
    told = (
        f"{_described(found, name, sample)} The overlap is smallest in {least} "
        f"({share(results[least]['overlap_area'])}) and largest in {most} "
        f"({share(results[most]['overlap_area'])}). Relabelling materials rarely (p < 0.05) gives as large a "
        f"difference in {len(clear)} of {counted(len(results), 'combination')}."
    )
    return Plate(
        name="fig3_perovskite_overlap",
        title="Similarity within perovskites and within the others (Figure 3 of the paper)",
        caption=told,
        alt=f"One panel a combination with two density curves of cosine similarity and their overlap shaded. {told}",
        draw=partial(draw_overlap, found["results"][name][sample]),
        data={"set": name, "sample": sample, "criterion": found["sets"][name]["criterion"], "combinations": results},
    )


def draw_overlap(results: Mapping[str, Any]) -> Any:
    """One panel a combination."""
    columns = min(4, len(results))
    lines = -(-len(results) // columns)
    figure, axes = paint.panels(lines, columns, height=2.35 * lines + 0.3, sharex=True)
    for axis, (name, result) in zip(axes, results.items(), strict=False):
        why = reason(result)
        if why is not None:
            paint.say(axis, why)
        else:
            _curves(axis, result)
            paint.finish(axis, xlabel="cosine similarity", grid="x")
            axis.set_yticks([])
        axis.set_title(name, fontsize=paint.LABEL, loc="left")
    paint.hide(axes[len(results) :])
    paint.legend(figure, paint.handles_of(axes))
    return figure


def _curves(axis: Any, result: Content) -> None:
    curve = result["curve"]
    x = curve["cosine"]
    both = [min(a, b) for a, b in zip(curve["perovskite"], curve["other"], strict=True)]
    axis.fill_between(x, both, color="#d3d6db", linewidth=0, label="overlap")
    axis.plot(x, curve["perovskite"], color=COLOURS[0], linewidth=1.6, label="within perovskites")
    axis.plot(x, curve["other"], color=COLOURS[1], linewidth=1.6, linestyle="--", label="within the others")
    top = max([*curve["perovskite"], *curve["other"]])
    axis.set_ylim(0, top * 1.75)
    permutation = result.get("p_permutation")
    told = f"overlap {share(result['overlap_area'])}\nKS {share(result['ks_statistic'])}"
    if permutation is not None:
        told += f", {p_value(permutation)}"
    axis.text(0.03, 0.97, told, transform=axis.transAxes, va="top", fontsize=paint.SMALL, color=INK)


def pxrd_rows(found: Content, name: str, sample: str) -> list[dict[str, Any]]:
    """One row a combination without pXRD and its partner with it."""
    keys = (
        *("without", "with", "overlap_without", "overlap_with"),
        "difference",
        "difference_standard_error",
        "relative",
    )
    rows = found["with_and_without_pxrd"][name][sample]
    return [{key: row.get(key) for key in keys} for row in rows if reason(row) is None]


def _pxrd_plate(found: Content, name: str, sample: str) -> list[Block]:
    title = "Overlap with and without pXRD (Figure 7 of the paper)"
    rows = pxrd_rows(found, name, sample)
    if not rows:
        pairs = found["with_and_without_pxrd"][name][sample]
        return [Notice(title, reasons({str(i): row for i, row in enumerate(pairs)}))]
    mean, paper = found["mean_relative_without_pxrd"][name][sample], found["paper"]["relative_without_pxrd"]
    higher = [row for row in rows if row["difference"] > 0]
    errors = [row["difference_standard_error"] for row in rows]
    sure = sum(e is not None and abs(row["difference"]) > 2 * e for row, e in zip(rows, errors, strict=True))
    told = (
        f"Without pXRD the overlap is higher in {len(higher)} of {counted(len(rows), 'pair')} of combinations"
        f"{'' if mean is None else f', on average by {signed(100 * mean)[:-2]} %'} (the paper: {100 * paper:.0f} %). "
        f"{sure} of the differences {'is' if sure == 1 else 'are'} larger than two jackknife standard errors."
    )
    alt = f"One line a pair of combinations, from the overlap without pXRD to that with it. {told}"
    return [Plate("fig7_pxrd_overlap", title, told, alt, partial(draw_pxrd, rows), rows)]


def draw_pxrd(pairs: Sequence[Mapping[str, Any]]) -> Any:
    """A line from without to with; the bar on it is the standard error of the difference."""
    figure, [axes] = paint.panels(1, 1, height=1.4 + 0.45 * len(pairs), width=7.5)
    for y, row in enumerate(pairs):
        a, b, error = row["overlap_without"], row["overlap_with"], row["difference_standard_error"]
        axes.plot([a, b], [y, y], color="#c4c8ce", linewidth=2, zorder=1)
        axes.plot(a, y, "s", color=COLOURS[1], markersize=8, label="without pXRD")
        axes.plot(b, y, "o", color=COLOURS[0], markersize=8, label="with pXRD")
        if error is not None:
            axes.errorbar(b, y + 0.25, xerr=error, color=paint.SOFT, capsize=3, linewidth=1.2)
    if any(row["difference_standard_error"] is not None for row in pairs):
        axes.plot([], [], color=paint.SOFT, marker="|", label="standard error of the difference (\N{PLUS-MINUS SIGN})")
    paint.rows(axes, [f"{row['without']} (+ pxrd)" for row in pairs])
    axes.set_ylim(len(pairs) - 0.3, -0.6)
    paint.finish(axes, xlabel="overlap area (smaller: perovskites stand further apart)", grid="x")
    paint.legend(figure, paint.handles_of([axes]))
    return figure


def _table(found: Content) -> Table:
    rows = []
    for name, samples in found["results"].items():
        for sample, results in samples.items():
            for combination, r in available(results).items():
                error = r.get("standard_error")
                rows.append(
                    [
                        Cell(readable(name), hint=found["sets"][name]["criterion"]),
                        Cell(sample),
                        Cell(combination),
                        number(float(r["n_perovskite"]), str(r["n_perovskite"])),
                        number(float(r["n_other"]), str(r["n_other"])),
                        number(r["overlap_area"]),
                        number(error),
                        number(r["ks_statistic"]),
                        number(r["p_permutation"], None if (p := r["p_permutation"]) is None else f"{p:.2g}"),
                        number(r["p_pairs"], None if (p := r["p_pairs"]) is None else f"{p:.1e}"),
                    ]
                )
    columns = (
        *("set", "sample", "combination", "*perovskites", "*others", "*overlap area", "*standard error"),
        *("*KS statistic", "*p (materials relabelled)", "*p (as if pairs were independent)"),
    )
    criteria = "; ".join(f"{readable(name)}: {each['criterion']}" for name, each in found["sets"].items())
    return Table("separation", "All sets of labels", f"{criteria}.", columns, rows, folded=True)
