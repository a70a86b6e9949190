"""How often a model calls a valid query, and nonsense, unlike anything it knows: one line a kind.

Usage, after `make run`:  python benchmarks/novelty.py MODEL [--materials 200]

MODEL is the directory of a registered model: `mlartifacts/models/<id>/artifacts/artifacts/model`. The valid queries are
materials of the test split.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from matbind.base.files import RECORDS
from matbind.modalities.dos.records import Dos
from matbind.modalities.material import Material
from matbind.modalities.pxrd.records import Pattern
from matbind.modalities.reading import query_material
from matbind.modalities.records import Records
from matbind.modalities.text.features import formula_of, sentences
from matbind.serving.searcher import Searcher

PROSE = (
    "Arsenal beat Chelsea two nil on Saturday thanks to a late goal by the young striker.",
    "The football match was postponed because of heavy rain and will be played next week.",
    "The referee showed a red card to the goalkeeper in the first half.",
    "He scored a hat trick and was carried off the pitch by the fans.",
    "Please find attached the minutes of the last meeting.",
    "The stock market fell sharply after the announcement of the central bank.",
)
TYPED = (
    "cubic perovskite SrTiO3 with lattice constant 3.905 Å",
    "layered oxide with manganese, space group R-3m",
    "NaCl rock salt",
    "TiO2 rutile",
    "spinel MgAl2O4 with Fd-3m space group",
    "MoS2, layered, van der Waals",
    "silicon, diamond structure",
)
N = 100
Kinds = dict[str, Iterable[Any]]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--materials", type=int, default=200)
    options = parser.parse_args()
    searcher = Searcher(options.model)
    materials = [m for m in Records(RECORDS).materials() if m.split == "test"]
    kinds = {"dos": dos_kinds, "pxrd": pattern_kinds, "text": text_kinds}
    print("| modality | queries | n | unlike anything |\n|---|---|---|---|")
    for name in (name for name in searcher.combination.modalities if name in kinds):
        having = [m for m in materials if name in m.values][: options.materials]
        for kind, values in kinds[name](having, np.random.default_rng(0)).items():
            novel = [_is_novel(searcher, name, value) for value in values]
            print(f"| {name} | {kind} | {len(novel)} | {np.mean(novel):.2f} |", flush=True)


def _is_novel(searcher: Searcher, name: str, value: Any) -> bool:
    return searcher.answer_materials({name: query_material(name, value)})["probability"] is None


def text_kinds(materials: list[Material], rng: np.random.Generator) -> Kinds:
    """Return texts as they are, as people shorten them, and texts on other matters."""
    texts = [m.values["text"] for m in materials]
    groups = [re.search(r"the \w+ (\S+) space group", text) for text in texts]
    letters = list("abcdefghijklmnopqrstuvwxyz")
    return {
        "whole": texts,
        "first sentence": [sentences(text)[0] for text in texts],
        "a random sentence": [str(rng.choice(sentences(text))) for text in texts],
        "formula": [formula_of(text) for text in texts],
        "formula and space group": [
            f"{formula_of(text)}, space group {group[1]}" for text, group in zip(texts, groups, strict=True) if group
        ],
        "as typed": TYPED,
        "nonsense: prose": PROSE,
        "nonsense: random letters": [" ".join("".join(rng.choice(letters, 6)) for _ in range(8)) for _ in range(N)],
    }


def pattern_kinds(materials: list[Material], rng: np.random.Generator) -> Kinds:
    """Return patterns as simulated, with counting noise and background, and patterns of nothing."""
    rows = [np.asarray(m.values["pxrd"].intensity, dtype=np.float64) for m in materials]
    x = np.linspace(0, 1, len(rows[0]))
    decay = [np.exp(-rate * x) for rate in rng.uniform(1, 5, N)]
    humps = [np.exp(-(((x - at) / 0.06) ** 2)) + 0.05 for at in rng.uniform(0.15, 0.35, N)]
    kinds = {
        "as simulated": rows,
        "2,000 counts, background of 5 %": [rng.poisson(2000 * (row + 0.05 * np.exp(-3 * x))) for row in rows],
        "300 counts, background of 20 %": [rng.poisson(300 * (row + 0.2 * np.exp(-3 * x))) for row in rows],
        "nonsense: noise": [np.abs(rng.normal(size=len(x))) for _ in range(N)],
        "nonsense: flat": [rng.poisson(1000, len(x)) for _ in range(N)],
        "nonsense: background, decaying": [rng.poisson(1000 * curve) for curve in decay],
        "nonsense: background, a hump": [rng.poisson(1000 * curve) for curve in humps],
    }
    return {
        kind: [Pattern((row / row.max()).astype(np.float32), simulated=False) for row in curves]
        for kind, curves in kinds.items()
    }


def dos_kinds(materials: list[Material], rng: np.random.Generator) -> Kinds:
    """Return densities of states as calculated, noisy, and curves that are of no solid."""
    given = [m.values["dos"] for m in materials]
    e = np.linspace(-20, 12, 1601)
    return {
        "as calculated": given,
        "noise of 10 %": [
            Dos(d.energies_ev, d.densities * np.abs(1 + 0.1 * rng.normal(size=len(d.densities))), d.efermi_ev)
            for d in given
        ],
        "nonsense: noise": [Dos(e, np.abs(rng.normal(size=len(e))), 0.0) for _ in range(N)],
        "nonsense: a step": [Dos(e, 3.0 * (e > at), 0.0) for at in rng.uniform(-14, 6, N)],
        "nonsense: free electrons": [Dos(e, np.sqrt(np.maximum(e - at, 0)), 0.0) for at in rng.uniform(-15, 0, N)],
    }


if __name__ == "__main__":
    main()
