"""The data of the runs as MLflow datasets, one a split: which materials, which modalities they have, what to load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matbind.base.files import VALID
from matbind.base.provenance import dvc_md5
from matbind.modalities.records import table_path
from matbind.modalities.table import structure_name, value_names

CONTEXTS = {"train": "training", "validation": "validation", "test": "test"}
"""What MLflow calls the use of a split."""
CONTEXT = "mlflow.data.context"


def split_datasets(root: Path) -> dict[str, Any]:
    """Describe every split of the valid records of a project; none if there are no records.

    Returns:
        By context an entity of MLflow: its schema names the modalities, its profile counts the materials that have
        each, its source is the directory of tables, relative to the project, and its digest is DVC's checksum of that
        directory as in `dvc.lock`.
    """
    import polars as pl
    from mlflow.data import from_polars, sources  # type: ignore[attr-defined]  # MLflow adds both as it is imported
    from mlflow.entities import Dataset

    structures = table_path(root / VALID, structure_name())
    if not structures.exists():
        return {}
    materials = pl.read_parquet(structures, columns=["material_id", "formula", "split"])
    present = {structure_name(): pl.lit(value=True)}
    for name in value_names():
        values = table_path(root / VALID, name)
        ids: Any = pl.read_parquet(values, columns=["material_id"])["material_id"] if values.exists() else []
        present[name] = pl.col("material_id").is_in(ids)
    materials = materials.with_columns(**present)
    kinds: Any = sources
    source, digest, datasets = kinds.LocalArtifactDatasetSource(str(VALID)), dvc_md5(root / VALID), {}
    for split, context in CONTEXTS.items():
        rows = materials.filter(split=split)
        described: Mapping[str, Any] = from_polars(rows, source, name=split, digest=digest).to_dict()
        profile = {"num_rows": rows.height} | {name: rows.filter(pl.col(name)).height for name in present}
        datasets[context] = Dataset(**{**described, "profile": json.dumps(profile)})
    return datasets


def datasets_of(run: Any) -> dict[str, Any]:
    """Return the datasets of a run by their context."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return {tag.value: entry.dataset for entry in inputs for tag in entry.tags if tag.key == CONTEXT}
