"""The source that `prepare.source` names, and a directory of Parquet tables, which most sources are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from matbind.base.errors import UserError
from matbind.base.files import read_json
from matbind.base.parallel import Workers
from matbind.data.sources.raw import EXCLUDED, RawTables
from matbind.modalities.records import read_table, table_path
from matbind.modalities.table import structure_name, value_names
from matbind.settings.prepare import PrepareSettings


def read_source(settings: PrepareSettings, *, scratch: Path, workers: Workers, log: Callable[[str], None]) -> RawTables:
    """Read the source of the settings.

    Args:
        settings: `source` names the kind: `tables` (Parquet files), `folder` (structure files with spectra beside
            them) or `materials-project` (what `matbind data materials-project` has downloaded); `data` the directory.
        scratch: keeps the files of a folder as they are read.
        workers: read the files of a folder.
        log: is told the progress in sentences.

    Raises:
        UserError: if the source is missing, unreadable or not complete.
    """
    if settings.source == "folder":
        from matbind.data.sources import folder

        return folder.read(settings.data, settings, scratch=scratch, workers=workers, log=log)
    if settings.source == "materials-project":
        _check_downloaded(settings.data, log)
    return read_tables(settings.data)


def read_tables(directory: Path) -> RawTables:
    """Read the tables of a directory: structures, and the values of other modalities where there are any.

    What whoever wrote the directory could not get is in `excluded.parquet` or `failed.parquet`.

    Raises:
        UserError: if a table is unreadable or lacks a column; see :func:`matbind.modalities.records.read_table`.
    """
    paths = {name: table_path(directory, name) for name in value_names()}
    values = {name: read_table(path, name) for name, path in paths.items() if path.exists()}
    lists = [directory / name for name in ("excluded.parquet", "failed.parquet")]
    lost = [pl.read_parquet(path, columns=list(EXCLUDED)) for path in lists if path.exists()]
    structures = read_table(table_path(directory, structure_name()), structure_name())
    return RawTables(structures, values, excluded=pl.concat([pl.DataFrame(schema=EXCLUDED), *lost]))


def _check_downloaded(directory: Path, log: Callable[[str], None]) -> None:
    path = directory / "source.json"
    if not path.exists():
        raise UserError(
            f"{path}: the file does not exist, expected a finished download in prepare.data; "
            f"matbind data materials-project {directory} makes one, or goes on with it"
        )
    source = read_json(path)
    log(f"Materials Project {source['database_version']}, downloaded on {source['date']}")
    if not source["complete"]:
        log(
            f"{source['counts']['failed']} values failed, they are listed in {directory / 'failed.parquet'}; "
            f"matbind data materials-project {directory} --retry-failed asks for them again"
        )
