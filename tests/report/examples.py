"""Small files of the analyse stage as it writes them, made up, for any set of trained combinations."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from matbind.base.files import read_json
from matbind.evaluation.comparison import assemble_comparison
from matbind.evaluation.retrieval import summarise
from matbind.modalities.combinations import all_combinations, pair_name, parse_combination
from matbind.modalities.table import modality_names
from matbind.report.inputs import MAPS_TABLE, Inputs, read_answers

N = 60
ALL = tuple(combination.name for combination in all_combinations())
WHOLE = "crystal+dos+pxrd+text"
SETS = ("chalcogenides", "chalcogenides_wide", "oxides_and_halides", "abx3")
STRENGTH = {"crystal": 0.6, "text": 0.5, "pxrd": 0.3, "dos": 0.15}
RUN = "0123456789abcdef0123456789abcdef"
TARGETS = {
    "space_group": {"kind": "class", "metric": "accuracy", "unit": "", "known": {"test": N}},
    "band_gap": {"kind": "number", "metric": "mae", "unit": "eV", "known": {"test": N}},
}


def ci(value: float, width: float = 0.05) -> list[float]:
    return [value - width, value + width]


def comparison(names: Iterable[str] = ALL, failed: Iterable[str] = (), seeds: tuple[int, ...] = (0,)) -> dict[str, Any]:
    def results(name: str) -> dict[str, Any]:
        members = parse_combination(name)
        return {
            pair_name(*pair): summarise(
                np.where(np.arange(N) < N * min(0.97, STRENGTH[pair[0]] + STRENGTH[pair[1]]), 1, 9),
                kind=members.kind(*pair),
            ).as_dict()
            for pair in members.pairs()
        }

    runs = [
        {"combination": n, "hub": parse_combination(n).hub, "run_id": RUN, "seed": seeds[0], "seeds": seeds}
        | {"pairs": results(n), "trainings": [{"pairs": results(n)}] * len(seeds)}
        for n in names
    ]
    runs += [{"combination": n, "error": "killed"} for n in failed]
    return assemble_comparison(
        runs, baseline=results(WHOLE), data_md5="d740e79350d6fe4f.dir", git_commit="2d30d8f3ff17"
    )


def several(names: Iterable[str]) -> list[str]:
    return [name for name in names if "+" in name]


def helping(names: Iterable[str] = ALL) -> dict[str, Any]:
    names = set(names)
    changes = []
    for before in several(ALL):
        for added in modality_names():
            after = parse_combination(f"{before}+{added}").name if added not in before.split("+") else before
            if after == before or not {before, after} <= names:
                continue
            for query, key in permutations(before.split("+"), 2):
                change = {"crystal": 0.12, "text": 0.08, "pxrd": 0.01, "dos": -0.09}[added]
                kinds = [parse_combination(name).kind(query, key) for name in (before, after)]
                changes.append(
                    {
                        "modality": added,
                        "before": before,
                        "after": after,
                        "question": pair_name(query, key),
                        "kind_before": kinds[0],
                        "kind_after": kinds[1],
                        "n": N,
                        "score_before": 0.5,
                        "score_after": 0.5 + change,
                        "change": change,
                        "change_ci95": ci(change),
                    }
                )
    shapley = {
        "values": {
            m: {"value": v, "ci95": ci(v, 0.02)} for m, v in zip(modality_names(), (0.2, -0.01, 0.1, 0.14), strict=True)
        },
        "none": 1 / N,
        "everything": 0.55,
        "score": "mean recall@1 over the 12 ordered pairs, chance where not answered",
    }
    missing = [name for name in ALL if name not in names]
    bounds = {
        "bounds": {m: [0.0, 0.3] for m in modality_names()},
        "missing": missing,
        "none": 1 / N,
        "score": "recall@1",
    }
    return {
        "changes": changes,
        "summary": {m: summary_of([c for c in changes if c["modality"] == m]) for m in modality_names()},
        "worth_of_hub": [c for c in changes if c["modality"] == "crystal"],
        "missing": missing,
        "shapley": {
            "retrieval": bounds if missing else shapley,
            "probes": {"space_group": bounds if missing else shapley},
        },
    }


def summary_of(changes: list[dict[str, Any]]) -> dict[str, Any]:
    counts = {
        "n": len(changes),
        "mean_change": float(np.mean([c["change"] for c in changes])) if changes else None,
        "better": sum(c["change_ci95"][0] > 0 for c in changes),
        "worse": sum(c["change_ci95"][1] < 0 for c in changes),
    }
    counts["unclear"] = counts["n"] - counts["better"] - counts["worse"]
    return {"pairs": counts, "probes": counts | {"n": 0}}


def probes(names: Iterable[str] = ALL) -> dict[str, Any]:
    def result(target: str, gain: float) -> dict[str, Any]:
        value = 0.6 + gain if target == "space_group" else 0.8 - gain
        return {
            "metric": TARGETS[target]["metric"],
            "value": value,
            "ci95": ci(value),
            "top_5": None,
            "r2": None,
            "majority": 0.2 if target == "space_group" else 1.1,
            "chance": None,
            "n_train": 300,
            "n_test": N,
            "gain_over_composition": gain,
            "gain_over_composition_ci95": ci(gain),
        }

    def embeddings(name: str) -> list[str]:
        return [*name.split("+"), *(["fused"] if "+" in name else [])]

    gains = {"space_group": 0.1, "band_gap": 0.02}
    return {
        "targets": TARGETS,
        "baseline": {t: result(t, 0.0) for t in TARGETS},
        "results": {n: {e: {t: result(t, gains[t]) for t in TARGETS} for e in embeddings(n)} for n in names},
    }


def perovskites(names: Iterable[str] = ALL) -> dict[str, Any]:
    x = np.linspace(-0.2, 1.0, 50)
    crystal = [name for name in ALL if "crystal" in name]
    few = {"unavailable": "2 perovskites and 8 others are judged, expected at least 5 of each"}

    def result(name: str) -> dict[str, Any]:
        if name not in names:
            return {"unavailable": "it was not trained"}
        area = 0.4 - 0.05 * ("pxrd" in name) + 0.02 * len(name.split("+"))
        return {
            "n_perovskite": 20,
            "n_other": 15,
            "overlap_area": area,
            "ks_statistic": 0.3,
            "p_pairs": 1e-30,
            "p_permutation": 0.004,
            "mean_cosine_perovskite": 0.5,
            "mean_cosine_other": 0.2,
            "standard_error": 0.02,
            "curve": {
                "cosine": x.tolist(),
                "perovskite": np.exp(-30 * (x - 0.5) ** 2).tolist(),
                "other": np.exp(-30 * (x - 0.2) ** 2).tolist(),
            },
        }

    results = {
        s: {sample: {n: few if "chalc" in s else result(n) for n in crystal} for sample in ("all", "test")}
        for s in SETS
    }

    def paired(outcomes: dict[str, Any]) -> list[dict[str, Any]]:
        rows = []
        for without in (name for name in crystal if "pxrd" not in name):
            partner = parse_combination(f"{without}+pxrd").name
            row = {"without": without, "with": partner}
            why = outcomes[without].get("unavailable") or outcomes[partner].get("unavailable")
            if why:
                rows.append(row | {"unavailable": why})
                continue
            a, b = outcomes[without]["overlap_area"], outcomes[partner]["overlap_area"]
            rows.append(
                row
                | {"overlap_without": a, "overlap_with": b, "difference": a - b}
                | {"difference_standard_error": 0.01, "relative": a / b - 1}
            )
        return rows

    counts = {"perovskite": 20, "other": 15, "not_judged": 3, "reasons": {}}
    return {
        "sets": {
            s: {
                "title": f"Set {s}",
                "criterion": "tau < 4.18",
                "source": "Bartel et al. 2019",
                "materials": {"all": counts, "test": counts},
                "members": [],
            }
            for s in SETS
        },
        "results": results,
        "with_and_without_pxrd": {s: {sample: paired(r[sample]) for sample in r} for s, r in results.items()},
        "mean_relative_without_pxrd": {s: dict.fromkeys(r, 0.1) for s, r in results.items()},
        "paper": {"relative_without_pxrd": 0.14},
    }


def maps(names: Iterable[str] = ALL) -> tuple[dict[str, Any], pl.DataFrame]:
    generator = np.random.default_rng(0)
    crystal = [name for name in names if "crystal" in name]
    rows = [
        {
            "combination": name,
            "sample": sample,
            "material_id": f"m-{i}",
            "formula": "BaTiO3",
            "split": "test",
            "space_group": 221,
            "crystal_system": ("cubic", "hexagonal")[i % 2],
            "tsne_x": float(generator.normal()),
            "tsne_y": float(generator.normal()),
            "pca_1": float(generator.normal()),
            "pca_2": float(generator.normal()),
            **{f"perovskite_{s}": (True, False, None)[i % 3] if sample == "test" else i % 2 == 0 for s in SETS},
        }
        for name in crystal
        for sample in ("test", "abx3")
        for i in range(20)
    ]
    result = {"n": 20, "explained_variance": [0.3, 0.2], "tsne": {"perplexity": 6}}
    return {"results": {s: dict.fromkeys(crystal, result) for s in ("test", "abx3")}}, pl.DataFrame(rows)


def fused(names: Iterable[str] = ALL) -> dict[str, Any]:
    def question(queries: tuple[str, ...], key: str) -> dict[str, Any]:
        parts = {q: min(0.9, STRENGTH[q] + STRENGTH[key]) for q in queries}
        best = max(parts, key=parts.__getitem__)
        gain = 0.08 if key == "crystal" else -0.06 if key == "dos" else 0.01
        value = parts[best] + gain
        return {
            "kind": "aligned",
            "n": N,
            "recall_at_1": value,
            "recall_at_1_ci95": ci(value),
            "chance_at_1": 1 / N,
            "queries": list(queries),
            "key": key,
            "parts": parts,
            "best_part": best,
            "gain": gain,
            "gain_ci95": ci(gain, 0.03),
        }

    outcomes = {}
    for name in names:
        members = name.split("+")
        if len(members) > 2:
            outcomes[name] = {
                f"{'+'.join(queries)}->{key}": question(queries, key)
                for key in members
                for size in range(2, len(members))
                for queries in combinations([m for m in members if m != key], size)
            }
    return {"results": outcomes}


def robustness(names: Iterable[str] = ALL) -> dict[str, Any]:
    def models(modality: str, n: int) -> dict[str, Any]:
        outcomes = {}
        for name in (WHOLE, parse_combination(f"crystal+{modality}").name):
            if name not in names:
                outcomes[name] = {"unavailable": f"{name}: it was not trained"}
                continue
            values = [0.8 * 0.6**i for i in range(n)]
            result = {"n": N, "chance_at_1": 1 / N, "recall_at_1": values, "stored_recall_at_1": 0.8}
            result["recall_at_1_ci95"] = [ci(v) for v in values]
            outcomes[name] = {"pairs": {pair_name(modality, key): result for key in name.split("+") if key != modality}}
        return outcomes

    def curve(modality: str, unit: str) -> dict[str, Any]:
        return {"unit": unit, "strengths": [0, 0.05, 0.1], "models": models(modality, 3)}

    kinds = {"noise": "", "background": "", "shift": "degree", "broadening": "degree", "low_angles_missing": "degree"}
    return {
        "curves": {
            "pxrd": {name: curve("pxrd", unit) for name, unit in kinds.items()},
            "dos": {name: curve("dos", "eV") for name in ("shift", "broadening")},
        },
        "text": {
            "levels": ["full", "first_sentence", "without_numbers"],
            "models": models("text", 3),
            "failed": {"first_sentence": 0, "without_numbers": 1},
        },
    }


def gallery(names: Iterable[str] = ALL) -> dict[str, Any]:
    sizes = [2, 4, 8, 16, 32, N]

    def pair(name: str, query: str, key: str) -> dict[str, Any]:
        recall = [0.99 * 0.9**i for i in range(len(sizes))]
        outcomes = {"kind": parse_combination(name).kind(query, key), "n": N, "size": sizes, "recall_at_1": recall}
        outcomes |= {"chance_at_1": [1 / n for n in sizes], "recall_at_1_ci95": [ci(value) for value in recall]}
        wide = {"size": 600, "recall_at_1": 0.3, "recall_at_1_ci95": ci(0.3)}
        return outcomes | ({"with_other_splits": wide} if query != key else {})

    return {
        "paper_gallery_size": 8400,
        "results": {n: {pair_name(*p): pair(n, *p) for p in parse_combination(n).pairs()} for n in names},
    }


def geometry(names: Iterable[str] = ALL) -> dict[str, Any]:
    def result(name: str) -> dict[str, Any]:
        members = name.split("+")
        alarm = ["effective rank 1.2 is below 2"] if name == "dos" else []
        return {
            "modalities": {m: {"n": N, "uniformity": -3.1, "effective_rank": 40.2, "alarm": alarm} for m in members},
            "pairs": {pair_name(*p): {"n": N, "alignment": 0.6, "modality_gap": 0.2} for p in combinations(members, 2)},
        }

    return {"results": {name: result(name) for name in names}}


def failures(names: Iterable[str] = ALL) -> dict[str, Any]:
    def result() -> dict[str, Any]:
        worst = [
            {
                "material_id": f"m-{i}",
                "formula": "NaCl",
                "space_group": 225,
                "prototype": "AB_cF8_225_a_b",
                "rank": 2 + i,
                "similarity": 0.4,
                "found_id": f"m-{i + 1}",
                "found_formula": "KCl",
                "found_space_group": 225,
                "found_prototype": None,
                "found_similarity": 0.7,
                "margin": 0.3 - 0.01 * i,
                "relation": "isovalent swap",
            }
            for i in range(4)
        ]
        return {
            "n": N,
            "n_failed": 25,
            "recall_at_1": 0.58,
            "recall_at_1_same_formula": 0.6,
            "chance_same_formula": 0.02,
            "recall_at_1_same_prototype": 0.7,
            "chance_same_prototype": 0.1,
            "worst": worst,
            "relations": {
                "same material": 0,
                "same formula": 1,
                "isovalent swap": 4,
                "same prototype": 8,
                "neither": 12,
            },
        }

    name = WHOLE if WHOLE in names else next(iter(several(names)), None)
    pairs = [pair_name(*pair) for pair in parse_combination(name).pairs()] if name else []
    angles = np.linspace(5, 90, 80)
    peaks = {f"m-{i}": np.exp(-((angles - 20 - 5 * i) ** 2)).tolist() for i in range(5)}
    return {
        "results": {name: {pair: result() for pair in pairs}} if name else {},
        "best_model": dict.fromkeys(pairs, name),
        "patterns": {"two_theta_deg": angles.tolist(), "intensity": peaks},
    }


def parameters() -> dict[str, Any]:
    counts = {"crystal": 284552, "crystal.projection": 41600, "dos": 100000, "dos.projection": 900}
    return {
        "presets": {"small": counts, "paper": {"unavailable": "the weights of the text encoder are not here"}},
        "trained": {},
        "paper": {"crystal": 1.0e6, "dos": 6.4e6, "pxrd": 5.0e6, "text": 110.0e6},
    }


def index(names: Iterable[str] = ALL) -> dict[str, Any]:
    names = set(names)
    return {
        "data_md5": "d740e79350d6fe4f.dir",
        "git_commit": "2d30d8f3ff17",
        "seed": 0,
        "materials": {"train": 300, "validation": 30, "test": N},
        "held": {"test": dict.fromkeys(modality_names(), N)},
        "combinations": {
            n: {"run_id": RUN, "hub": parse_combination(n).hub} if n in names else {"unavailable": "it was not trained"}
            for n in ALL
        },
        "parts": {},
    }


def answers(names: Iterable[str] = ALL) -> dict[str, Any]:
    """The content of every file of the analyse stage but the table of the maps."""
    names = tuple(names)
    return {
        "index": index(names),
        "perovskites": perovskites(names),
        "maps": maps(names)[0],
        "helping": helping(names),
        "probes": probes(names),
        "fused": fused(names),
        "robustness": robustness(names),
        "gallery": gallery(names),
        "geometry": geometry(names),
        "failures": failures(names),
        "parameters": parameters(),
    }


def write(root: Path, names: Iterable[str] = ALL, **changed: Any) -> Path:
    """Lay the files of a project into a directory: metrics/comparison.json and artifacts/analysis.

    A question given as None gets no file, one given as a mapping gets that content.
    """
    names = tuple(names)
    analysis = root / "artifacts" / "analysis"
    analysis.mkdir(parents=True)
    for name, content in (answers(names) | changed).items():
        if content is not None:
            (analysis / f"{name}.json").write_text(json.dumps(content))
    table = maps(names)[1]
    if len(table):
        table.write_parquet(analysis / "maps.parquet")
    (root / "metrics").mkdir()
    (root / "metrics" / "comparison.json").write_text(json.dumps(comparison(names)))
    return root


def read(root: Path, **options: Any) -> Inputs:
    """Read the inputs of a project directory."""
    analysis = root / "artifacts" / "analysis"
    given = {"preset": "smoke", "seed": 0, "tuning": None, "registry": None, "maps": analysis / MAPS_TABLE} | options
    return Inputs(comparison=read_json(root / "metrics" / "comparison.json"), answers=read_answers(analysis), **given)


def save(_: Any, stem: Path) -> tuple[Path, Path]:
    """Stand in for the drawing: write two small files, the PNG the smaller one if the name is of even length."""
    png, svg = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")
    svg.write_text('<svg width="72pt" height="36pt"></svg>')
    png.write_bytes(b"\x89PNG" + b"." * (60 * (len(stem.name) % 2)))
    return png, svg
