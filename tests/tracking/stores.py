"""Empty MLflow stores: making the tables of one takes seconds, so it is made once a test run and copied."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

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
