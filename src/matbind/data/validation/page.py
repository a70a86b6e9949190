"""The validation report as one page that needs no network: tables, worst offenders, histograms drawn as SVG."""

from __future__ import annotations

from html import escape
from typing import Any

N_SHOWN = 3  # offenders of an expectation
RULE = "A bad modality value leaves alone; a bad structure takes its material's other values along."
STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1d2430;--soft:#5b6575;--line:#dfe4ea;--card:#f6f8fa}
:root{--bar:#4a7ebb;--bad:#b3261e;--good:#1d7a46}
@media(prefers-color-scheme:dark){
:root{--bg:#14181f;--fg:#e6eaf0;--soft:#9aa5b4;--line:#2c3440;--card:#1b212a}
:root{--bar:#6f9fd8;--bad:#ff8a80;--good:#6fd39b}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:1.2rem 1rem 4rem;background:var(--bg);color:var(--fg)}
body{font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:.2em 0}h3{font-size:1rem;margin:1.4em 0 .4em}
h2{margin:2.2em 0 .4em;font-size:1.25rem;border-top:1px solid var(--line);padding-top:.8em}
p{max-width:46rem}a{color:inherit}.soft{color:var(--soft)}
.bad{color:var(--bad);font-weight:600}.good{color:var(--good);font-weight:600}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code{font-size:.88em;overflow-wrap:anywhere;color:var(--soft)}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:1rem}
figure{margin:0;background:var(--card);border-radius:.5rem;padding:.7rem}
figcaption{font-size:.85rem;overflow-wrap:anywhere}
svg{display:block;width:100%;height:auto}.b{fill:var(--bar)}
.axis{stroke:var(--soft)}.limit{stroke:var(--bad);stroke-dasharray:4 3}
text{fill:var(--soft);font:11px system-ui,sans-serif}
details>summary{cursor:pointer;color:var(--soft);margin:.6rem 0}
"""
WIDTH, HEIGHT, FLOOR, TALLEST = 320, 120, 100, 90  # of a histogram in SVG units; the bars stand on the floor


def page(document: dict[str, Any]) -> str:
    """Render the content of `validation.json`.

    Args:
        document: as :func:`matbind.data.validation.stage.validate` returns it.

    Returns:
        One HTML document that refers to nothing outside itself.
    """
    verdict = (
        '<p class="good">Passed: no modality lost more than its allowed share.</p>'
        if document["passed"]
        else '<p class="bad">Failed: a modality has more bad values than its allowed share. Nothing was passed on.</p>'
    )
    split = ", ".join(f"{side} {count:,}" for side, count in document["split"].items())
    body = [
        "<h1>Validation</h1>",
        verdict,
        f"<p>{document['materials_kept']:,} of {document['materials']:,} materials are sound ({escape(split)}).</p>",
        f"<p>{RULE}</p>",
        _counts(document["modalities"]),
        _duplicates(document["duplicates"]),
        *(_modality(name, block) for name, block in document["modalities"].items()),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Validation</title><style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _counts(modalities: dict[str, Any]) -> str:
    rows = [
        [
            f'<a href="#{name}">{name}</a>',
            f"{block['values']:,}",
            f'<span class="{"bad" if not block["passed"] else ""}">{block["quarantined"]:,}</span>',
            f"{block['share']:.2%}",
            f"{block['max_quarantined_share']:.2%}",
            f"{block['removed_with_structure']:,}",
            f"{block['kept']:,}",
        ]
        for name, block in modalities.items()
    ]
    return _table(["modality", "*values", "*quarantined", "*share", "*allowed", "*left with structure", "*kept"], rows)


def _duplicates(found: dict[str, Any]) -> str:
    if not found["materials"]:
        return "<p>No two structures of one formula are the same.</p>"
    rows = [
        [escape(str(group["formula"])), escape(", ".join(map(str, group["material_ids"])))]
        for group in found["largest"]
    ]
    return (
        f"<p>{found['materials']:,} structures stand in {found['groups']:,} groups of equal ones. "
        "They stay, on one side of the split, but a query cannot tell them apart.</p>"
        f"<details><summary>The largest groups</summary>{_table(['formula', 'materials'], rows)}</details>"
    )


def _modality(name: str, block: dict[str, Any]) -> str:
    failed = [e for e in block["expectations"] if e["failed"]]
    rows = [
        [
            f"<code>{escape(e['name'])}</code>",
            f"<code>{escape(e['measure'])}</code> {_bounds(e['minimum'], e['maximum'])}",
            f"{e['checked']:,}",
            f'<span class="{"bad" if e["failed"] else ""}">{e["failed"]:,}</span>',
        ]
        for e in block["expectations"]
    ]
    worst = [
        [_material(w), escape(w["formula"] or ""), f"{escape(w['reason'])} <code>{escape(e['name'])}</code>"]
        for e in failed
        for w in e["worst"][:N_SHOWN]
    ]
    offenders = (
        f"<h3>Worst offenders</h3>{_table(['material', 'formula', 'what was found'], worst)}"
        if worst
        else '<p class="good">Nothing failed.</p>'
    )
    plots = "".join(_histogram(histogram) for histogram in block["histograms"])
    return (
        f'<h2 id="{name}">{name} <span class="soft">{block["values"]:,} {escape(block["noun"])}</span></h2>{offenders}'
        f"<details><summary>{len(rows)} expectations, {len(failed)} not met</summary>"
        f"{_table(['expectation', 'measure', '*checked', '*failed'], rows)}</details>"
        f'<h3>Distributions</h3><div class="plots">{plots}</div>'
    )


def _material(offender: dict[str, Any]) -> str:
    material_id = offender["material_id"]
    return escape(material_id) if material_id else f'<span class="soft">row {offender["row"]}</span>'


def _histogram(histogram: dict[str, Any]) -> str:
    counts, first, last = histogram["counts"], histogram["first"], histogram["last"]
    tallest, step = max(counts), WIDTH / len(counts)
    heights = [TALLEST * count / tallest for count in counts]
    bars = "".join(
        f'<rect class="b" x="{i * step:.1f}" y="{FLOOR - height:.1f}" width="{step - 0.6:.1f}" height="{height:.1f}"/>'
        for i, height in enumerate(heights)
        if height
    )
    limits = "".join(
        f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{FLOOR}"/>'
        for bound in (histogram["minimum"], histogram["maximum"])
        if bound is not None and 0 <= (x := WIDTH * (bound - first) / (last - first)) <= WIDTH
    )
    label = f"{histogram['measure']} of {histogram['values']:,} values, {first:.4g} to {last:.4g}"
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{bars}{limits}'
        f'<line class="axis" x1="0" x2="{WIDTH}" y1="{FLOOR}" y2="{FLOOR}"/>'
        f'<text x="0" y="{HEIGHT - 5}">{first:.4g}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT - 5}" text-anchor="end">{last:.4g}</text></svg>'
        f"<figcaption><code>{escape(histogram['measure'])}</code> "
        f'<span class="soft">{_bounds(histogram["minimum"], histogram["maximum"])}</span></figcaption></figure>'
    )


def _bounds(minimum: float | None, maximum: float | None) -> str:
    if minimum is not None and minimum == maximum:
        return f"is {minimum:g}"
    parts = [f"at least {minimum:g}"] if minimum is not None else []
    parts += [f"at most {maximum:g}"] if maximum is not None else []
    return ", ".join(parts)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    """An HTML table; a head that begins with * is of numbers."""
    numeric = [' class="n"' if head.startswith("*") else "" for head in heads]
    head = "".join(f"<th{kind}>{text.lstrip('*')}</th>" for kind, text in zip(numeric, heads, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(numeric, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
