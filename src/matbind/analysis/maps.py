"""Figures 5 and 6: crystal embeddings in the plane, by t-SNE and by principal components."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.analysis.inputs import Inputs, Request, answer, open_inputs
from matbind.analysis.labels import LABEL_SETS, labels
from matbind.analysis.measures.latent import project_pca, project_tsne
from matbind.analysis.task import Task
from matbind.evaluation.vectors import held_rows

CRYSTAL = "crystal"
SAMPLES = ("test", "abx3")
_COORDINATES = ("tsne_x", "tsne_y", "pca_1", "pca_2")
PERPLEXITY = 30  # scikit-learn's default


def tasks(inputs: Inputs) -> list[Task]:
    """One task a combination with crystal and sample of materials."""
    return [
        Task(f"{sample} {name}", partial(project, inputs.request, name, sample), cost=3.0)
        for name in inputs.with_modality(CRYSTAL)
        for sample in SAMPLES
    ]


def project(request: Request, name: str, sample: str) -> dict[str, Any]:
    """The maps of one combination.

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
    kept = _sample(held_rows(vectors), request.settings.map_materials, seed=request.seed)
    rows, vectors = rows[kept], vectors[kept]
    components = project_pca(vectors)
    return {
        "rows": rows,
        "pca": components.coordinates,
        "explained_variance": components.explained_variance,
        "tsne": answer(partial(project_tsne, vectors, seed=request.seed)),
    }


def assemble(inputs: Inputs, found: Mapping[str, Any]) -> dict[str, Any]:
    """The content of maps.json, of what the tasks found by sample and combination."""
    return {
        "results": {
            sample: {
                name: inputs.unavailable[name] if name in inputs.missing else _told(found[f"{sample} {name}"])
                for name in inputs.all_with(CRYSTAL)
            }
            for sample in SAMPLES
        }
    }


def table(inputs: Inputs, found: Mapping[str, Any]) -> pl.DataFrame:
    """The coordinates with what is known of the materials, a row a material, combination and sample."""
    materials = _materials(inputs)
    columns = ["combination", "sample", *materials.columns, *_COORDINATES]
    parts = []
    for sample in SAMPLES:
        for name in inputs.with_modality(CRYSTAL):
            own = found[f"{sample} {name}"]
            if "unavailable" not in own:
                coordinates = {each: pl.Series(values).fill_nan(None) for each, values in _coordinates(own).items()}
                named = {"combination": pl.lit(name), "sample": pl.lit(sample)}
                parts.append(materials[own["rows"]].with_columns(**named, **coordinates).select(columns))
    schema: dict[str, Any] = {"combination": pl.String, "sample": pl.String, **materials.schema}
    empty = pl.DataFrame(schema=schema | dict.fromkeys(_COORDINATES, pl.Float64))
    whole: pl.DataFrame = pl.concat([empty, *parts])
    return whole


def _materials(inputs: Inputs) -> pl.DataFrame:
    """What is known of every material, in the order of the index."""
    formulas = inputs.index["formula"].to_list()
    found = inputs.symmetries
    judged = {
        f"perovskite_{each}": pl.Series(
            [None if np.isnan(v) else bool(v) for v in labels(each, formulas)], dtype=pl.Boolean
        )
        for each in LABEL_SETS
    }
    return inputs.index.select("material_id", "formula", "split").with_columns(
        space_group=pl.Series([s.space_group if s else None for s in found], dtype=pl.Int64),
        crystal_system=pl.Series([s.crystal_system if s else None for s in found], dtype=pl.String),
        **judged,
    )


def _coordinates(own: Mapping[str, Any]) -> dict[str, npt.NDArray[np.float64]]:
    plane = np.full((len(own["rows"]), 2), np.nan) if isinstance(own["tsne"], dict) else own["tsne"]
    return dict(zip(_COORDINATES, [*plane.T, *own["pca"].T], strict=True))


def _told(own: Mapping[str, Any]) -> dict[str, Any]:
    if "unavailable" in own:
        return dict(own)
    tsne = own["tsne"] if isinstance(own["tsne"], dict) else {"perplexity": PERPLEXITY}
    return {"n": len(own["rows"]), "explained_variance": own["explained_variance"], "tsne": tsne}


def _sample(held: npt.NDArray[np.bool_], most: int, *, seed: int) -> npt.NDArray[np.int64]:
    rows = np.flatnonzero(held)
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
