"""Structures, properties, texts and total densities of states of the Materials Project as a directory of tables.

The directory holds `structures.parquet`, `text.parquet`, `dos.parquet`, `failed.parquet` and `source.json`, appears
whole or not at all, and is read like any other directory of tables. What has come so far is kept in
`<directory>.parts`: a call that was stopped, by whatever, goes on where it was, and in the end the tables are the same.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from matbind.base.errors import UserError
from matbind.base.files import locked, read_json, write_json, written_whole_directory
from matbind.data.sources.materials_project.client import Client
from matbind.data.sources.materials_project.fetch import PAGE_SIZE, Fetch
from matbind.data.sources.materials_project.query import Query
from matbind.data.sources.raw import EXCLUDED
from matbind.modalities.table import structure_name

__all__ = ["Query", "download", "key_from_environment"]

KEY_LENGTH = 32
ROW_GROUP = 1000
LICENCE = "CC BY 4.0"
CITATION = (
    "A. Jain et al., Commentary: The Materials Project: A materials genome approach to accelerating materials "
    "innovation, APL Materials 1, 011002 (2013), https://doi.org/10.1063/1.4812323"
)


def key_from_environment() -> str:
    """Return `MP_API_KEY` of the environment, else `PMG_MAPI_KEY` of pymatgen's settings (~/.pmgrc.yaml).

    Raises:
        UserError: there is none, or it is no key; says where to get one and how to give it. The key is not shown.
    """
    key = os.environ.get("MP_API_KEY")
    if not key:
        from pymatgen.core import SETTINGS

        key = os.environ.get("PMG_MAPI_KEY") or SETTINGS.get("PMG_MAPI_KEY")
    if not key:
        raise UserError(
            "no API key of the Materials Project found, expected it in the environment variable MP_API_KEY; log in at "
            "https://next-gen.materialsproject.org/api, copy your key, and type: export MP_API_KEY=<your key>"
        )
    key = str(key).strip()
    if len(key) != KEY_LENGTH or not key.isascii() or not key.isalnum():
        raise UserError(
            f"the API key of the Materials Project has {len(key)} characters or a character that is no letter or "
            f"digit, expected {KEY_LENGTH} letters and digits; yours is shown at "
            "https://next-gen.materialsproject.org/api after logging in"
        )
    return key


def download(
    out: Path,
    query: Query | None = None,
    *,
    endpoint: str | None = None,
    dos_endpoint: str | None = None,
    retry_failed: bool = False,
    with_dos: bool = True,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Download materials into a directory of tables, or go on with it; one that is there is left as it is.

    A material whose document, text or density of states could not be had in all attempts is listed in `failed.parquet`
    and does not hold up the others; the parts are then kept for a call with `retry_failed`, and removed otherwise. That
    a material has no density of states, as about a third, or no text is no failure.

    Args:
        out: the directory to write; `<out>.parts` holds what has come until everything is there.
        query: which materials; by default the whole database.
        endpoint: address of the REST interface, by default the public one; the key of :func:`key_from_environment` is
            sent there, and never written or shown.
        dos_endpoint: address of the S3 object store with the densities of states, by default the public one.
        retry_failed: ask again for what failed, and for nothing that has come.
        with_dos: whether to download densities of states.
        log: is told the progress in sentences.

    Returns:
        The content of `source.json`: query, database version, date, counts, whether complete, licence and citation.

    Raises:
        UserError: if the key is missing or refused, the server does not answer at all or asks to come back later, or
            `out` or its parts hold another download.
    """
    query = query or Query()
    identity = {"query": query.model_dump(mode="json"), "with_dos": with_dos}
    parts = out.with_name(out.name + ".parts")
    earlier = _read_same(out / "source.json", identity) if out.exists() else None
    if earlier and (earlier["complete"] or not retry_failed):
        if earlier["complete"]:
            shutil.rmtree(parts, ignore_errors=True)
        log(f"{out}: already there, database version {earlier['database_version']}")
        return earlier

    key = key_from_environment()
    with locked(parts / "lock", f"download of {out}"):
        client = Client(key, endpoint=endpoint, dos_endpoint=dos_endpoint, log=log)
        identity |= {"page_size": PAGE_SIZE, "database_version": client.database_version()}
        if (parts / "query.json").exists():
            _read_same(parts / "query.json", identity)
        else:
            write_json(parts / "query.json", identity)
        fetch = Fetch(client, query, identity, parts, retry_failed, log)
        fetch.run()
        log("writing the tables")
        source = _write(out, fetch, query, identity)
        if source["complete"]:
            shutil.rmtree(parts)
    log(", ".join(f"{name} {count}" for name, count in source["counts"].items()))
    return source


def _write(out: Path, fetch: Fetch, query: Query, identity: dict[str, Any]) -> dict[str, Any]:
    import pyarrow.parquet as pq

    listed = set(fetch.listed())
    counts = {"listed": len(listed)}
    version = identity["database_version"]
    tables = ("structures", "text", "dos") if identity["with_dos"] else ("structures", "text")
    with written_whole_directory(out) as directory:
        for table in tables:
            frames = fetch.sorted_rows(table)
            if table == "structures":
                frames = (frame.with_columns(source=pl.lit(f"Materials Project {version}")) for frame in frames)
            first = next(frames)
            counts[table] = 0
            schema = first.to_arrow().schema
            with pq.ParquetWriter(directory / f"{table}.parquet", schema, compression="zstd") as writer:
                for frame in chain([first], frames):
                    writer.write_table(frame.to_arrow(), row_group_size=ROW_GROUP)
                    counts[table] += len(frame)
            if table != "structures":
                counts[f"without {table}"] = counts["structures"] - counts[table]
        failed = fetch.failures()
        if query.names_materials_alone():
            reason = f"database version {version} has no such material, or it is deprecated"
            absent = [(name, structure_name(), reason) for name in query.material_ids if name not in listed]
            failed = pl.concat([failed, pl.DataFrame(absent, schema=EXCLUDED, orient="row")])
            failed = failed.sort("material_id", "modality")
        failed.write_parquet(directory / "failed.parquet")
        source = {
            "source": "Materials Project",
            **identity,
            "date": datetime.now(UTC).date().isoformat(),
            "counts": counts | {"failed": len(failed)},
            "complete": failed.is_empty(),
            "licence": LICENCE,
            "citation": CITATION,
        }
        write_json(directory / "source.json", source)
    return source


def _read_same(path: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """Return what an earlier call said of itself; raise UserError if it differs in a point from this one."""
    if not path.exists():
        raise UserError(
            f"{path.parent}: it is there but holds no {path.name}, expected a new or a downloaded directory"
        )
    earlier: dict[str, Any] = read_json(path)
    for name, expected in identity.items():
        if earlier.get(name) != expected:
            is_now = "now" if name == "database_version" else "in this call"
            raise UserError(
                f"{path}: it belongs to a download with {name} {json.dumps(earlier.get(name))}, {is_now} it is "
                f"{json.dumps(expected)}; expected the same, or remove {path.parent} to begin anew"
            )
    return earlier
