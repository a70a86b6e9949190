"""Sections of tables alone: parameters of the encoders, settings found by tuning, and where the numbers come from."""

from __future__ import annotations

from matbind.report.blocks import Block, Cell, Notice, Table, Value, number
from matbind.report.inputs import Content, Inputs, available, reason, reasons
from matbind.report.words import DASH, phrase
from matbind.training.tuning.result import short, verdict

PROJECTION = ".projection"


def encoders(content: Content, inputs: Inputs) -> list[Block]:
    """Return Table 1: parameters of every encoder, of each preset and of the paper."""
    presets = available(content["presets"])
    if not presets:
        return [Notice("Table 1", reasons(content["presets"]))]
    names = [name for name in dict.fromkeys(key for of in presets.values() for key in of) if PROJECTION not in name]
    rows: list[list[Value]] = []
    for name in names:
        values = [content["paper"].get(name)]
        values += [of.get(part) for of in presets.values() for part in (name, name + PROJECTION)]
        rows.append([name, *(number(value, "{:,.0f}".format) for value in values)])
    heads = [f"*preset {preset}{suffix}" for preset in presets for suffix in ("", ", projection")]
    absent = [Notice(name, why) for name, of in content["presets"].items() if (why := reason(of)) is not None]
    return [Table("table1", phrase("table.table1.caption", preset=inputs.preset), rows, more=heads), *absent]


def tuning(_: Content, inputs: Inputs) -> list[Block]:
    """Return what the tune stage chose."""
    study = inputs.tuning
    if study is None:
        return [Notice("Tuning", phrase("question.tuning.missing"))]
    outcome = Notice("Outcome", verdict(study))
    if not study["enabled"]:
        return [outcome]
    sides = [study["start"], study["best_trial"] or {}]
    rows: list[list[Value]] = [
        [name, *(short(side["values"][name]) if side else DASH for side in sides)] for name in study["space"]
    ]
    for split in ("validation", "test"):
        recalls = [side.get(f"{split}_recall_at_1") for side in sides]
        rows.append([f"{split} recall@1, mean of aligned pairs", *recalls])
    states = [trial["state"] for trial in study["trials"]]
    caption = phrase("table.tuned.caption", study=study, n=len(states), complete=states.count("complete"))
    return [outcome, Table("tuned", caption, rows, more=[f"*best trial ({study['best']})"])]


def sources(_: Content, inputs: Inputs) -> list[Block]:
    """Return runs, registered versions, data, code, and how the numbers are defined."""
    why = reason(inputs.answers["index"])
    index = {} if why else inputs.answers["index"]
    comparison = inputs.comparison
    materials, present = index.get("materials", {}), index.get("held", {}).get("test", {})
    facts = {
        "preset": inputs.preset,
        "seed of split and bootstrap": str(inputs.seed),
        "seeds of the trainings": ", ".join(map(str, inputs.seeds())) or "none",
        "data (md5 by DVC)": str(comparison.get("data_md5") or "outside DVC"),
        "code of the comparison (git)": str(comparison.get("git_commit") or "outside Git"),
        "code of the models (git)": str(index.get("git_commit") or "unknown"),
        "materials": ", ".join(f"{split} {n:,}" for split, n in materials.items()) or "unknown",
        "test materials that hold": ", ".join(f"{name} {n:,}" for name, n in present.items()) or "unknown",
    }
    origin = Table("origin", phrase("table.origin.caption"), [*facts.items()])
    notices = [Notice("Analysis", why)] if why else []
    return [origin, *notices, _runs(inputs, index.get("combinations", {}))]


def _runs(inputs: Inputs, analysed: Content) -> Table:
    """Return the table of runs; `analysed` is what the analysis says of a combination."""
    versions = (inputs.registry or {}).get("models", {})
    trained = inputs.comparison["combinations"]
    rows = []
    for name in dict.fromkeys([*trained, *analysed]):
        run, entry, version = inputs.run_id(name), trained.get(name, {}), versions.get(name)
        href = f"{inputs.runs_page}{run}" if run and inputs.runs_page else None
        link = Cell(run or "not tracked", href=href, hint=f"MLflow run of {name}" if run else None)
        registered = f"{version['name']}, version {version['version']}" if version else "not registered"
        n = max((result["n"] for result in entry.get("pairs", {}).values()), default=None)
        state = entry.get("error") or reason(analysed.get(name, {})) or "evaluated"
        rows.append([name, entry.get("hub", DASH), link, registered, n, state])
    return Table("runs", phrase("table.runs.caption"), rows)
