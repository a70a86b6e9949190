"""The complete stage: texts and densities of states for the materials whose source brings none.

Both take seconds a structure, so every answer is kept as it comes: a run that was killed goes on where it was, and what
is known is never calculated again. Tables are written at the end, from what is kept: they do not depend on the number
of workers, nor on how often a run was interrupted.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import polars as pl

from matbind.base.files import written_whole, written_whole_directory
from matbind.base.parallel import Workers
from matbind.data.completion.work import COLUMNS, make
from matbind.data.sources.raw import EXCLUDED, RawTables, merged
from matbind.data.sources.read import read_tables
from matbind.modalities.records import table_path
from matbind.settings.complete import CompleteSettings

FAILED = "failed.parquet"


def complete(
    raw: RawTables,
    settings: CompleteSettings,
    *,
    out: Path,
    scratch: Path,
    workers: Workers,
    retry_failed: bool = False,
    log: Callable[[str], None],
) -> dict[str, int]:
    """Make the texts and densities of states that are missing.

    Writes `text.parquet` and `dos.parquet` with `COLUMNS`, in the order of the structures and of those materials alone
    that lacked one, and `failed.parquet` (material_id, modality, reason) of those that still do. What is switched off
    is an empty table. The directory appears only when it is whole.

    Args:
        raw: what the source brought.
        settings: what to make.
        out: the directory to write.
        scratch: where answers are kept as they come; what is there from before is used.
        workers: processes or threads that calculate. Each has a further process for it, which can be killed.
        retry_failed: whether to try again what failed in an earlier run, for a longer time limit.
        log: is told the progress in sentences.

    Returns:
        How many texts and densities of states were made, now or in an earlier run, and how many structures still have
        none: `text`, `text_failed`, `dos`, `dos_failed`.

    Raises:
        UserError: if a library is missing, or an earlier run's answers are unreadable.
    """
    counts: dict[str, int] = {}
    failed = []
    with written_whole_directory(out) as directory:
        for name, columns in COLUMNS.items():
            made = pl.DataFrame(schema=columns)
            if getattr(settings, name):
                lacking = raw.structures.join(raw.table(name).select("material_id"), on="material_id", how="anti")
                made, without = make(
                    name, lacking, settings, scratch / name, workers, retry_failed=retry_failed, log=log
                )
                failed.append(without)
                counts |= {name: len(made), f"{name}_failed": len(without)}
            made.write_parquet(table_path(directory, name), compression="zstd")
        pl.concat([pl.DataFrame(schema=EXCLUDED), *failed]).write_parquet(directory / FAILED)
    return counts


def complete_directory(
    directory: Path,
    name: Literal["text", "dos"],
    *,
    scratch: Path,
    workers: Workers,
    time_limit_s: float = 600.0,
    retry_failed: bool = False,
    log: Callable[[str], None],
) -> dict[str, int]:
    """Complete one table of a directory in place.

    It gets the rows that are made, in the order of `structures.parquet`, and a column `source`; all its rows and
    columns stay. The file changes only when all rows are there. What failed is listed in `failed.parquet` of the
    scratch directory.

    Args:
        directory: with `structures.parquet`, and the other table where there is one.
        name: of the modality that is made.
        scratch: outside the directory; as of :func:`complete`, as are the others, what is returned, and the errors.
        workers: processes or threads that calculate.
        time_limit_s: as of :class:`CompleteSettings`.
        retry_failed: whether to try again what failed in an earlier run.
        log: is told the progress in sentences.
    """
    raw = read_tables(directory)
    settings = CompleteSettings(text=name == "text", dos=name == "dos", time_limit_s=time_limit_s)
    out = scratch / f"tables-{name}"  # texts and densities may be under way at the same time
    counts = complete(raw, settings, out=out, scratch=scratch, workers=workers, retry_failed=retry_failed, log=log)
    shutil.copyfile(out / FAILED, scratch / FAILED)
    made = pl.read_parquet(table_path(out, name))
    if len(made):
        whole = merged(raw.table(name), made, raw.structures["material_id"])
        with written_whole(table_path(directory, name)) as path:
            whole.write_parquet(path, compression="zstd")
    return counts
