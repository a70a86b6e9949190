"""What it is worth to know elements of the sample: recall@1 of searches in the whole gallery, without and with them.

Usage, after `make run`:  python -m benchmarks.elements models/crystal+pxrd [models/crystal+dos ...] [--json FILE]

Queries are materials of the test split, which no model was trained on: as they are in the data, and worsened as
measurements are (drawn by the training's augmentation). The gallery holds the materials of all splits. Ties count
against the model. Nothing is embedded: the embeddings that a training leaves behind are enough.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.base.files import FEATURES
from matbind.base.model_files import chosen_directory
from matbind.data.featurize import INDEX, read_split
from matbind.modalities.combinations import parse_combination
from matbind.serving.bundle import default_key
from matbind.serving.gallery import Gallery
from matbind.training.embeddings import read_embeddings, read_queries

N_CONTAINED = 2
COLUMNS = ("no element", f"{N_CONTAINED} elements (--contains)", "all elements (--only)")


def measure(model_dir: Path, features: Path = FEATURES) -> list[dict[str, Any]]:
    """Measure all modalities of a model that are not its default gallery, as rows of the table."""
    combination = parse_combination(model_dir.name)
    model_dir = chosen_directory(model_dir.parent, model_dir.name)
    key = default_key(combination)
    test = read_split(features, "test")
    materials = pl.read_parquet(features / INDEX, columns=["material_id", "formula", "split"])
    elements = Gallery(materials, {}).elements.astype(np.float32)
    whole = {name: vectors.astype(np.float32) for name, vectors in read_embeddings(model_dir).items()}
    kinds = {"in the data": {n: v[test] for n, v in whole.items()}, "as measured": read_queries(model_dir)["test"]}
    keys = np.flatnonzero(np.isfinite(whole[key]).all(axis=1))
    rows = []
    for name in combination.modalities:
        for kind, queries in kinds.items() if name != key else ():
            asked = np.isfinite(queries[name]).all(axis=1) & np.isin(test, keys)
            true = np.searchsorted(keys, test[asked])
            recalls = recall(queries[name][asked] @ whole[key][keys].T, true, elements[keys])
            rows.append(
                {"model": combination.name, "query": name, "kind": kind, "n": len(true), "keys": len(keys)} | recalls
            )
    return rows


def recall(
    similarity: npt.NDArray[np.float32], true: npt.NDArray[np.int64], elements: npt.NDArray[np.float32]
) -> dict[str, float]:
    """Compute recall@1 with more and more known of the elements.

    Args:
        similarity: of every query to every key, shape (n, n_keys).
        true: position among the keys of the material that each query is of, shape (n,).
        elements: 1 where the material of a key holds an element, shape (n_keys, n_elements).

    Returns:
        By `COLUMNS`: the share of the queries whose material comes first among the keys that are left.
    """
    rng = np.random.default_rng(0)
    inside = elements[true]
    order = np.argsort(np.where(inside > 0, rng.random(inside.shape), 2.0), axis=1)
    named = np.zeros_like(inside)
    np.put_along_axis(named, order[:, :N_CONTAINED], 1.0, axis=1)
    named *= inside  # of an element alone there is but one
    left = (
        np.ones_like(similarity, dtype=bool),
        named @ elements.T >= named.sum(axis=1, keepdims=True) - 0.5,
        (1 - inside) @ elements.T < 0.5,  # noqa: PLR2004
    )
    rows = np.arange(len(true))
    hits = similarity >= similarity[rows, true][:, None]
    return {
        column: float(np.mean((hits & allowed).sum(axis=1) == 1)) for column, allowed in zip(COLUMNS, left, strict=True)
    }


def main() -> None:
    """Measure some models and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="directories of trained models")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    rows = [row for model in options.models for row in measure(model)]
    print(f"| model | query | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * len(COLUMNS)}")
    for row in rows:
        cells = " | ".join(f"{row[column]:.3f}" for column in COLUMNS)
        print(f"| {row['model']} | {row['query']} {row['kind']}, {row['n']} of {row['keys']:,} | {cells} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
