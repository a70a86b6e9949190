"""A project that was moved or copied: MLflow's database goes with it, but holds whole paths of its files."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Every place of the store's tables that names a file; MLflow turns what is relative into a whole path as it is created.
PLACES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}


def old_place(location: str, database: Path, artifacts: str) -> Path | None:
    """Return the directory that a database speaks of and that was left when its project was moved or copied.

    Args:
        location: of the artifacts of an experiment, as the database says it.
        database: the SQLite file of the project; its artifacts are beside it.
        artifacts: name of their directory.

    Returns:
        The project's directory before; None if the artifacts are where the database says, or are kept somewhere else on
        purpose: the old directory has to be gone, or to be another project with a database of its own.
    """
    url = urlsplit(location)
    if url.scheme not in {"", "file"}:
        return None
    old, new = Path(unquote(url.path)), database.parent / artifacts
    left = not old.exists() or (old.parent / database.name).exists()
    return old.parent if old.name == artifacts and old != new and new.is_dir() and left else None


def relocate(database: Path, old: Path) -> None:
    """Let a database speak of the files of its own directory instead of those of another; all places or none.

    Args:
        database: the SQLite file.
        old: the directory that its paths begin with.
    """
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        for table, columns in PLACES.items():
            for column in columns:
                for before, after in _prefixes(old, database.parent):
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608  # names of this module
                        f"WHERE substr({column}, 1, ?) = ?",
                        (after, len(before) + 1, len(before), before),
                    )


def _prefixes(old: Path, new: Path) -> tuple[tuple[str, str], ...]:
    """Return what paths below the old directory begin with and what below the new one, as URIs and bare."""
    return (f"{old.as_uri()}/", f"{new.as_uri()}/"), (f"{old}{os.sep}", f"{new}{os.sep}")
