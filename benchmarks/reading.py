"""What it costs to read the tables of values: in one pass, and by a scan for every 2,048 materials as it was before.

    python -m benchmarks.reading RECORDS [--sizes 1000 4000 25000] [--pass-only 170000] [--json FILE]

The rows of a records directory are repeated under new ids up to each size. Each size has a process of its own, which
prints CPU seconds of both ways over all tables of values and the peak memory of the pass; the smallest size is read
twice more to compare the values. `--pass-only` are sizes at which the scans would take too long. The exponent is that
of the CPU seconds over the materials, from the first size to the last.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from matbind.modalities.records import Records, columns_of, table_path
from matbind.modalities.table import modality_names, part, value_names

HERE = Path(__file__).parent
CHUNK = 2048
WAYS = ("pass", "scans")
Values = Iterator[tuple[str, Any]]


def main() -> None:
    """Read at every size, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 4000, 25_000])
    parser.add_argument("--pass-only", type=int, nargs="*", default=[])
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--ways", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ways:
        print(json.dumps(measured(arguments.records, arguments.ways)))
        return
    sizes = []
    for n in [*arguments.sizes, *arguments.pass_only]:
        with tempfile.TemporaryDirectory() as scratch:
            repeated(arguments.records, Path(scratch), n)
            command = [sys.executable, "-m", "benchmarks.reading", scratch, "--ways"]
            environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
            ways = WAYS if n in arguments.sizes else WAYS[:1]
            done = subprocess.run([*command, *ways], check=True, stdout=subprocess.PIPE, text=True, env=environment)
            sizes.append({"materials": n} | json.loads(done.stdout))
            if n == arguments.sizes[0]:
                sizes[-1]["equal"] = equal(Records(Path(scratch)))
            print(json.dumps(sizes[-1]), flush=True)
    exponents = {way: exponent([size for size in sizes if way in size], way) for way in WAYS}
    print(json.dumps({"exponents": exponents}))
    if arguments.json:
        arguments.json.write_text(json.dumps({"sizes": sizes, "exponents": exponents}, indent=1) + "\n")


def repeated(records: Path, out: Path, n: int) -> None:
    """Write `n` materials: the rows of a records directory, again and again under new ids."""
    n_rows = len(pl.read_parquet(table_path(records, "crystal"), columns=["material_id"]))
    for name in modality_names():
        rows = pl.scan_parquet(table_path(records, name))
        copies = [rows.with_columns(material_id=pl.col("material_id") + f"-{i}") for i in range(n // n_rows)]
        ids = pl.scan_parquet(table_path(records, "crystal")).select("material_id").head(n % n_rows)
        last = rows.join(ids, on="material_id", maintain_order="left")
        copies.append(last.with_columns(material_id=pl.col("material_id") + "-last"))
        pl.concat(copies).sink_parquet(table_path(out, name), row_group_size=1024)


def measured(directory: Path, ways: list[str]) -> dict[str, Any]:
    """CPU seconds of each way, and the memory that the pass took beside what was there before."""
    records = Records(directory)
    readers: dict[str, Callable[[str], Values]] = {"pass": lambda name: one_pass(records, name)}
    readers["scans"] = lambda name: scans(records, name)
    figures: dict[str, Any] = {}
    for way in ways:
        next(readers[way]("text"))  # imports are no part of it
        start = time.process_time()
        for name in value_names():
            for _ in readers[way](name):
                pass
        figures[way] = time.process_time() - start
        figures.setdefault("peak_gb", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
    return figures


def one_pass(records: Records, name: str) -> Values:
    """The values of a modality as featurize reads them."""
    return ((material.material_id, material.values.get(name)) for material in records.materials(only=(name,)))


def scans(records: Records, name: str) -> Values:
    """The same, by a query of the whole table for some materials at a time."""
    structure_part, value_part = part("crystal", "records"), part(name, "records")
    lists = [column for column, dtype in columns_of(name).items() if isinstance(dtype, pl.List)]
    for chunk in records.structures.iter_slices(CHUNK):
        in_chunk = pl.col("material_id").is_in(chunk["material_id"].implode())
        frame = (
            pl.scan_parquet(table_path(records.directory, name)).select(*columns_of(name)).filter(in_chunk).collect()
        )
        values = {}
        for i, row in enumerate(frame.drop(lists).iter_rows(named=True)):
            arrays = {column: frame[column][i].to_numpy() for column in lists}
            values[row["material_id"]] = value_part.value(row | arrays)
        for row in chunk.iter_rows(named=True):
            structure_part.value(row)
            yield row["material_id"], values.get(row["material_id"])


def equal(records: Records) -> bool:
    """Whether both ways give the same values, to the last bit."""
    return all(
        pickle.dumps(value) == pickle.dumps(other)
        for name in value_names()
        for value, other in zip(one_pass(records, name), scans(records, name), strict=True)
    )


def exponent(sizes: list[dict[str, Any]], way: str) -> float:
    """Slope of log CPU seconds over log materials between the first and the last size."""
    first, last = sizes[0], sizes[-1]
    return math.log(last[way] / first[way]) / math.log(last["materials"] / first["materials"])


if __name__ == "__main__":
    main()
