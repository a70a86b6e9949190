"""Figures 5 and 6: crystal embeddings in the plane, by t-SNE and by principal components."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.labels import LABEL_SETS, labels
from matbind.analysis.measures.latent import project_pca, project_tsne
from matbind.analysis.task import Task, answer
from matbind.evaluation.retrieval import present_rows

CRYSTAL = "crystal"
SAMPLES = ("test", "abx3")
_COORDINATES = ("tsne_x", "tsne_y", "pca_1", "pca_2")
PERPLEXITY = 30  # scikit-learn's default


def tasks(inputs: Inputs) -> list[Task]:
    """Return one task a combination with crystal and sample of materials."""
    return [
        Task(f"{sample} {name}", partial(project, inputs.request, name, sample), cost=3.0)
        for name in inputs.trained_with(CRYSTAL)
        for sample in SAMPLES
    ]


def project(request: Request, name: str, sample: str) -> dict[str, Any]:
    """Draw the maps of one combination, by the training that is its model.

    Args:
        request: names the seed and the most materials of a map.
        name: of the combination.
        sample: ``test``, the test split; or ``abx3``, the judged ABX3 compounds of all splits.

    Returns:
        ``rows`` in the index, coordinates ``pca`` and ``tsne`` (or why there are none), ``explained_variance``.

    Raises:
        UnavailableError: if there are too few materials for principal components.
    """
    inputs = open_inputs(request)
    if sample == "test":
        rows, vectors = inputs.test, inputs.test_embeddings(name)[CRYSTAL]
    else:
        rows = np.flatnonzero(np.isfinite(labels(sample, inputs.index["formula"].to_list())))
        vectors = inputs.embeddings(name)[CRYSTAL][rows]
    kept = _sample(present_rows(vectors), request.settings.map_materials, seed=request.seed)
    rows, vectors = rows[kept], vectors[kept]
    coordinates, explained_variance = project_pca(vectors)
    return {
        "rows": rows,
        "pca": coordinates,
        "explained_variance": explained_variance,
        "tsne": answer(partial(project_tsne, vectors, seed=request.seed)),
    }


def assemble(inputs: Inputs, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of maps.json, of the results by sample and combination."""
    described = {
        sample: {
            name: inputs.unavailable.get(name) or _describe(results[f"{sample} {name}"])
            for name in inputs.all_with(CRYSTAL)
        }
        for sample in SAMPLES
    }
    return {"results": described}


def table(inputs: Inputs, results: Mapping[str, Any]) -> pl.DataFrame:
    """Return the coordinates with what is known of the materials, a row a material, combination and sample."""
    materials = _materials(inputs)
    columns = ["combination", "sample", *materials.columns, *_COORDINATES]
    parts = []
    for sample in SAMPLES:
        for name in inputs.trained_with(CRYSTAL):
            result = results[f"{sample} {name}"]
            if "unavailable" not in result:
                coordinates = {key: pl.Series(values).fill_nan(None) for key, values in _coordinates(result).items()}
                named = {"combination": pl.lit(name), "sample": pl.lit(sample)}
                parts.append(materials[result["rows"]].with_columns(**named, **coordinates).select(columns))
    schema: dict[str, Any] = {"combination": pl.String, "sample": pl.String, **materials.schema}
    empty = pl.DataFrame(schema=schema | dict.fromkeys(_COORDINATES, pl.Float64))
    whole: pl.DataFrame = pl.concat([empty, *parts])
    return whole


def _materials(inputs: Inputs) -> pl.DataFrame:
    """Return what is known of every material, in the order of the index."""
    formulas = inputs.index["formula"].to_list()
    judged = {
        f"perovskite_{name}": pl.Series(
            [None if np.isnan(label) else bool(label) for label in labels(name, formulas)], dtype=pl.Boolean
        )
        for name in LABEL_SETS
    }
    return inputs.index.select("material_id", "formula", "split").with_columns(
        space_group=pl.Series([s.space_group if s else None for s in inputs.symmetries], dtype=pl.Int64),
        crystal_system=pl.Series([s.crystal_system if s else None for s in inputs.symmetries], dtype=pl.String),
        **judged,
    )


def _coordinates(result: Mapping[str, Any]) -> dict[str, npt.NDArray[np.float64]]:
    plane = np.full((len(result["rows"]), 2), np.nan) if isinstance(result["tsne"], dict) else result["tsne"]
    return dict(zip(_COORDINATES, [*plane.T, *result["pca"].T], strict=True))


def _describe(result: Mapping[str, Any]) -> dict[str, Any]:
    if "unavailable" in result:
        return dict(result)
    tsne = result["tsne"] if isinstance(result["tsne"], dict) else {"perplexity": PERPLEXITY}
    return {"n": len(result["rows"]), "explained_variance": result["explained_variance"], "tsne": tsne}


def _sample(present: npt.NDArray[np.bool_], most: int, *, seed: int) -> npt.NDArray[np.int64]:
    rows = np.flatnonzero(present)
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
