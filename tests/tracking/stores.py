"""Empty MLflow stores: making the tables of one takes seconds, so it is made once a test run and copied."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from matbind.base.files import VALID
from matbind.tracking.store import ARTIFACTS, DATABASE, connect
from tests.cache import shared


def empty_store() -> Path:
    """Return the database of a store without a run; its artifacts belong to no directory."""
    return shared("mlflow", _make) / DATABASE


def _make(directory: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        connect(directory)


def copy_store(root: Path) -> None:
    """Put an empty store into a project's directory, its artifacts beside it."""
    shutil.copy(empty_store(), root / DATABASE)
    with closing(sqlite3.connect(root / DATABASE)) as database, database:
        database.execute("update experiments set artifact_location = ?", [(root / ARTIFACTS).as_uri()])


def write_records(root: Path) -> None:
    """Put the valid records of four materials into a project's directory, two of which have a DOS."""
    import polars as pl

    (root / VALID).mkdir(parents=True)
    ids, splits = ["m1", "m2", "m3", "m4"], ["train", "train", "validation", "test"]
    materials = pl.DataFrame({"material_id": ids, "formula": ["Si", "Ge", "Sn", "Pb"], "split": splits})
    materials.write_parquet(root / VALID / "structures.parquet")
    pl.DataFrame({"material_id": ["m1", "m4"]}).write_parquet(root / VALID / "dos.parquet")
