"""Structures, total densities of states and properties of the Materials Project as a directory of Parquet tables.

The directory holds `structures.parquet`, `dos.parquet`, `failed.parquet` and `source.json`, appears whole or not at
all, and is read like any other directory of tables. What has come so far is kept in `<directory>.parts`: a call that
was stopped, by whatever, goes on where it was, and in the end the tables are the same.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from matbind.base.errors import UserError
from matbind.base.files import read_json, write_json
from matbind.data.sources.materials_project.client import Client
from matbind.data.sources.materials_project.fetch import Fetch
from matbind.data.sources.materials_project.http import Backoff, key_kept, redacted, without_proxy
from matbind.data.sources.materials_project.parts import FAILED, Parts, Table, check_same, held_alone
from matbind.data.sources.materials_project.query import Query

__all__ = ["Query", "download", "key_from_environment"]

KEY_LENGTH = 32
ROW_GROUP = 1000
LICENCE = "CC BY 4.0"
CITATION = (
    "A. Jain et al., Commentary: The Materials Project: A materials genome approach to accelerating materials "
    "innovation, APL Materials 1, 011002 (2013), https://doi.org/10.1063/1.4812323"
)


def key_from_environment() -> str:
    """The user's key: `MP_API_KEY` of the environment, else `PMG_MAPI_KEY` of pymatgen's settings (~/.pmgrc.yaml).

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
    return _checked_key(str(key))


def download(
    out: Path,
    query: Query | None = None,
    *,
    key: str | None = None,
    endpoint: str | None = None,
    dos_endpoint: str | None = None,
    batch_size: int = 200,
    page_size: int = 1000,
    retry_failed: bool = False,
    with_dos: bool = True,
    backoff: Backoff | None = None,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Download materials into a directory of tables, or go on with it; one that is there is left as it is.

    A material whose document or density of states could not be had in all attempts is listed in `failed.parquet` and
    does not hold up the others; the parts are then kept for a call with `retry_failed`, and removed otherwise. That a
    material has no density of states, as about a third, is no failure.

    Args:
        out: the directory to write; `<out>.parts` holds what has come until everything is there.
        query: which materials; None for the whole database.
        key: of the user, see :func:`key_from_environment`, which is asked if it is None. It is sent to the endpoint
            and otherwise never written or shown.
        endpoint: address of the REST interface; None for that of the Materials Project.
        dos_endpoint: address of the S3 object store with the densities of states; None for the public one.
        batch_size: materials a request.
        page_size: ids a page of the listing, at most 1000.
        retry_failed: ask again for what failed, and for nothing that has come.
        with_dos: whether to download densities of states.
        backoff: how to try again.
        log: is told the progress in sentences.

    Returns:
        The content of `source.json`: query, database version, date, counts, whether complete, licence and citation.

    Raises:
        UserError: the key is missing or refused, the server does not answer at all or asks to come back later, an
            argument is wrong, or `out` or its parts hold another download.
    """
    query = query or Query()
    for name, value, most in (("batch_size", batch_size, 1000), ("page_size", page_size, 1000)):
        if not 1 <= value <= most:
            raise UserError(f"{name} is {value}, expected 1 to {most}")
    identity = {"query": query.as_json(), "with_dos": with_dos}
    parts_directory = out.with_name(out.name + ".parts")
    earlier = _earlier(out, identity)
    if earlier and (earlier["complete"] or not retry_failed):
        if earlier["complete"]:
            shutil.rmtree(parts_directory, ignore_errors=True)
        log(f"{out}: already there, database version {earlier['database_version']}")
        return earlier

    key = key_from_environment() if key is None else _checked_key(key)

    def say(text: str) -> None:
        log(redacted(text, key))

    with key_kept(key), without_proxy(endpoint, dos_endpoint), held_alone(parts_directory):
        patience = replace(backoff or Backoff(), log=say)
        client = Client(key, endpoint=endpoint, dos_endpoint=dos_endpoint, backoff=patience)
        identity |= {"page_size": page_size, "database_version": client.database_version()}
        parts = Parts(parts_directory, identity)
        fetch = Fetch(client, parts, query, batch_size=batch_size, retry_failed=retry_failed, log=say)
        fetch.run(with_dos=with_dos)
        say("writing the tables")
        source = _write(out, parts, query, identity)
        if source["complete"]:
            shutil.rmtree(parts_directory)
    say(", ".join(f"{name} {count}" for name, count in source["counts"].items()))
    return source


def _write(out: Path, parts: Parts, query: Query, identity: dict[str, Any]) -> dict[str, Any]:
    import polars as pl
    import pyarrow.parquet as pq

    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    listed = {name for names in parts.members().values() for name in names}
    counts = {"listed": len(listed)}
    tables: tuple[Table, ...] = ("structures", "dos") if identity["with_dos"] else ("structures",)
    for table in tables:
        frames = parts.sorted_rows(table)
        if table == "structures":
            source = pl.lit(f"Materials Project {identity['database_version']}")
            frames = (frame.with_columns(source=source) for frame in frames)
        first = next(frames)
        counts[table] = len(first)
        with pq.ParquetWriter(partial / f"{table}.parquet", first.to_arrow().schema, compression="zstd") as writer:
            writer.write_table(first.to_arrow(), row_group_size=ROW_GROUP)
            for frame in frames:
                writer.write_table(frame.to_arrow(), row_group_size=ROW_GROUP)
                counts[table] += len(frame)
    failed = parts.failures(with_dos=identity["with_dos"])
    if query.names_materials_alone():
        reason = f"database version {identity['database_version']} has no such material, or it is deprecated"
        absent = [(name, "crystal", reason) for name in query.material_ids if name not in listed]
        failed = pl.concat([failed, pl.DataFrame(absent, schema=FAILED, orient="row")]).sort("material_id", "modality")
    failed.write_parquet(partial / "failed.parquet")
    source_json = {
        "source": "Materials Project",
        **identity,
        "date": datetime.now(UTC).date().isoformat(),
        "counts": counts | {"failed": len(failed)},
        "complete": failed.is_empty(),
        "licence": LICENCE,
        "citation": CITATION,
    }
    write_json(partial / "source.json", source_json)
    before = out.with_name(out.name + ".before")
    shutil.rmtree(before, ignore_errors=True)
    if out.exists():
        out.rename(before)
    partial.rename(out)
    shutil.rmtree(before, ignore_errors=True)
    return source_json


def _earlier(out: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """What a finished download says of itself."""
    if not out.exists():
        return None
    path = out / "source.json"
    if not path.exists():
        raise UserError(f"{out}: it is there but holds no source.json, expected a new or a downloaded directory")
    found: dict[str, Any] = read_json(path)
    check_same(path, found, identity)
    return found


def _checked_key(key: str) -> str:
    key = key.strip()
    if len(key) != KEY_LENGTH or not key.isascii() or not key.isalnum():
        raise UserError(
            f"the API key of the Materials Project has {len(key)} characters or a character that is no letter or "
            f"digit, expected {KEY_LENGTH} letters and digits; yours is shown at "
            "https://next-gen.materialsproject.org/api after logging in"
        )
    return key
