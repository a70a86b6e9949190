"""Sections of tables alone: parameters of the encoders, settings found by tuning, and where the numbers come from."""

from __future__ import annotations

from matbind.report.blocks import Block, Cell, Notice, Section, Table, number
from matbind.report.inputs import Inputs, available, reason, reasons
from matbind.report.words import counted
from matbind.training.tuning.result import short, verdict

PROJECTION = ".projection"


def encoders(inputs: Inputs) -> Section:
    """Table 1: parameters of every encoder, of each preset and of the paper."""
    found = inputs.answers["parameters"]
    title = "How large are the encoders?"
    lead = "Trainable and frozen parameters of every encoder, without its projection into the shared space."
    presets = {} if reason(found) else available(found["presets"])
    if not presets:
        return Section("encoders", title, lead, [Notice("Table 1", reason(found) or reasons(found["presets"]))])
    paper = found["paper"]
    parts = [name for name in dict.fromkeys(key for each in presets.values() for key in each) if PROJECTION not in name]
    rows = []
    for part in parts:
        cells = [Cell(part), number(paper.get(part), _count(paper.get(part)))]
        for counts in presets.values():
            cells += [number(counts.get(each), _count(counts.get(each))) for each in (part, part + PROJECTION)]
        rows.append(cells)
    heads = [f"*{name}{suffix}" for name in presets for suffix in ("", ", projection")]
    caption = f"This run is of the preset {inputs.preset}."
    blocks: list[Block] = [Table("table1", "Table 1: parameters", caption, ["encoder", "*paper", *heads], rows)]
    absent = {name: why for name, each in found["presets"].items() if (why := reason(each)) is not None}
    return Section("encoders", title, lead, blocks + [Notice(name, why) for name, why in absent.items()])


def tuning(inputs: Inputs) -> Section:
    """What the tune stage chose."""
    found = inputs.tuning
    section = Section("tuning", "Which settings were tuned?", "A search on the validation split, before all trainings.")
    if found is None:
        section.blocks.append(Notice("Tuning", "metrics/tuning.json is not there, the tune stage did not write it."))
        return section
    section.blocks.append(Notice("Outcome", verdict(found)))
    if not found["enabled"]:
        return section
    sides = [found["defaults"], found["best_trial"] or {}]
    rows = [
        [Cell(name), *(Cell(short(side["values"][name]) if side else "\N{EN DASH}") for side in sides)]
        for name in found["space"]
    ]
    for split in ("validation", "test"):
        values = [side.get(f"{split}_recall_at_1") for side in sides]
        rows.append([Cell(f"{split} recall@1, mean of aligned pairs"), *(number(value) for value in values)])
    states = [trial["state"] for trial in found["trials"]]
    caption = (
        f"{found['combination']}, {counted(len(states), 'trial')} of {found['epochs']} epochs, "
        f"{states.count('complete')} finished, seed {found['seed']}. Trials are shorter than this report's trainings."
    )
    columns = ["setting", "*defaults", f"*best trial ({found['best']})"]
    section.blocks.append(Table("tuned", "Defaults against the best trial", caption, columns, rows))
    return section


def sources(inputs: Inputs) -> Section:
    """Runs, registered versions, data, code, and how the numbers are defined."""
    index = inputs.answers["index"]
    told = index if reason(index) is None else {}
    lead = "Every number of a combination comes from its run; the files beside each figure hold the numbers in it."
    materials = told.get("materials", {})
    held = told.get("held", {}).get("test", {})
    comparison = inputs.comparison
    facts = [
        ("preset", inputs.preset),
        ("seed", str(inputs.seed)),
        ("data (md5 by DVC)", str(comparison.get("data_md5") or "outside DVC")),
        ("code of the comparison (git)", str(comparison.get("git_commit") or "outside Git")),
        ("code of the models (git)", str(told.get("git_commit") or "unknown")),
        ("materials", ", ".join(f"{split} {n:,}" for split, n in materials.items()) or "unknown"),
        ("test materials that hold", ", ".join(f"{name} {n:,}" for name, n in held.items()) or "unknown"),
    ]
    rows = [[Cell(name), Cell(value)] for name, value in facts]
    blocks: list[Block] = [Table("origin", "Data and code", "The state all numbers are of.", ["what", "value"], rows)]
    if reason(index) is not None:
        blocks.append(Notice("Analysis", str(reason(index))))
    return Section("sources", "Where do the numbers come from?", lead, [*blocks, _runs(inputs)])


def _runs(inputs: Inputs) -> Table:
    versions = (inputs.registry or {}).get("models", {})
    index = inputs.answers["index"]
    combinations = dict(inputs.comparison["combinations"])
    analysed = {} if reason(index) else index["combinations"]
    rows = []
    for name in dict.fromkeys([*combinations, *analysed]):
        run, entry, version = inputs.run_id(name), combinations.get(name, {}), versions.get(name)
        href = f"{inputs.runs_page}{run}" if run and inputs.runs_page else None
        sizes = [result["n"] for result in entry.get("pairs", {}).values()]
        why = entry.get("error") or reason(analysed.get(name, {}))
        rows.append(
            [
                Cell(name),
                Cell(entry.get("hub", "\N{EN DASH}")),
                Cell(run or "not tracked", href=href, hint=f"MLflow run of {name}" if run else None),
                Cell(f"{version['name']}, version {version['version']}" if version else "not registered"),
                number(max(sizes, default=None), str(max(sizes, default=""))),
                Cell(why or "evaluated"),
            ]
        )
    caption = "Run ids lead to MLflow where its pages are being served (`matbind ui`)."
    return Table("runs", "Runs", caption, ["combination", "hub", "MLflow run", "registered as", "*N", "state"], rows)


def _count(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"
