"""What validation catches and what it costs.

    python -m benchmarks.validation faults RECORDS        every kind of fault in 1 % of a copy of a records directory
    python -m benchmarks.validation scale [--rows 170000] synthetic materials with 601-point DOS, pXRD and text
    python -m benchmarks.validation duplicates FILE       StructureMatcher on the structures of a Parquet file

All take `--json FILE` to write their figures, and read the thresholds from the section `validate` of `--params`.

`scale` runs the stage in a process of its own and reports its peak memory; making the data is not part of the figures.
It looks for no duplicates: the synthetic materials are variants of few cells, far more alike than real ones. It counts
CPU seconds beside those of the clock, and a fixed computation in the same process: other work on the machine shows
there. Compiled functions are loaded from their cache; a run of few materials before it has compiled them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.injection import inject, measure
from matbind.data.validation.stage import validate
from matbind.materials.contacts import covalent_radii_angstrom
from matbind.materials.diffraction import pattern_grid, simulate_pattern
from matbind.materials.formula import ATOMIC_NUMBERS
from matbind.materials.structure import structure_of
from matbind.modalities.crystal.duplicates import duplicate_groups
from matbind.modalities.crystal.validation import Validator
from matbind.modalities.dos.valence import electrons_by_element
from matbind.modalities.pxrd.settings import Grid
from matbind.modalities.records import batches, columns_of, table_path
from matbind.modalities.table import modality_names
from matbind.settings.load import load
from matbind.settings.params import Settings

N_POINTS = 601
CHUNK = 4096
WARM_UP = 200
SIMILAR = 8  # elements of similar size that may stand for each other
UNCHANGED = (1, 2, 10, 18, 36, 54)  # hydrogen and noble gases have no element of similar size and bonding


def settings_of(params: Path, *, n_points: int | None = None) -> Settings:
    """Settings of a params file as :func:`allowing_all`, with another number of points of the patterns if asked for."""
    settings = allowing_all(load(params))
    if n_points is not None:
        grid = settings.records("pxrd").model_copy(update={"n_points": n_points})
        settings = settings.model_copy(update={"prepare": settings.prepare.model_copy(update={"pxrd": grid})})
    return settings


def allowing_all(settings: Settings) -> Settings:
    """The same settings, but every share of bad values is allowed."""
    anything = {"max_quarantined_share": 1.0}
    blocks = {name: settings.validation[name].model_copy(update=anything) for name in modality_names()}
    return with_blocks(settings, blocks)


def with_blocks(settings: Settings, blocks: dict[str, Any]) -> Settings:
    """The same settings with other blocks of the section `validate`."""
    return settings.model_copy(update={"validation": settings.validation.model_copy(update=blocks)})


def faults(records: Path, params: Path, *, share: float) -> dict[str, Any]:
    """Put every kind of fault into a copy of a records directory, validate it, and print what was caught."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        settings = settings_of(params)
        validate(settings, records, work / "before", work / "r", log=print)
        before = pl.read_parquet(work / "before" / "quarantine.parquet")
        injected = inject(work / "before", work / "faulty", share=share)
        start = time.perf_counter()
        document = validate(settings, work / "faulty", work / "valid", work / "r", log=print)
        seconds = time.perf_counter() - start
        table, clean = measure(injected, pl.read_parquet(work / "valid" / "quarantine.parquet"))
    print(f"\n{'modality':9}{'fault':40}{'injected':>9}{'caught':>8}  by, and why not all")
    for kind in table:
        note = f" ({kind.fault.partly})" if kind.caught < kind.injected else ""
        print(f"{kind.fault.modality:9}{kind.fault.name:40}{kind.injected:9}{kind.caught:8}  {kind.expectation}{note}")
    n_injected, n_caught = sum(kind.injected for kind in table), sum(kind.caught for kind in table)
    n_clean = clean["material_id"].n_unique()
    print(f"\n{len(table)} kinds, {n_caught} of {n_injected} faults caught, {n_clean} clean materials quarantined")
    print(f"before any fault was put in, {before['material_id'].n_unique()} materials were quarantined")
    return {
        "fault_kinds": len(table),
        "faults_injected": n_injected,
        "faults_caught": n_caught,
        "clean_quarantined": n_clean,
        "quarantined_before": before["material_id"].n_unique(),
        "materials": document["materials"],
        "seconds": seconds,
    }


def scale(data: Path, params: Path, *, rows: int) -> dict[str, Any]:
    """Make synthetic materials, validate them in a process of their own, and print seconds and peak memory."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, n in (("few", WARM_UP), ("all", rows)):
            records = Path(scratch) / name / "records"
            grid = settings_of(params, n_points=N_POINTS).records("pxrd")
            synthesize(pl.read_parquet(data / "structures.parquet"), records, rows=n, grid=grid)
            figures = run_apart(records, params) | {"rows": n, "points": N_POINTS}
    for name, seconds in figures["seconds"].items():
        print(f"{name:12} {seconds:8.1f} s {figures['cpu_seconds'][name]:8.1f} CPU s")
    print(f"{rows} materials, {N_POINTS} points: peak memory {figures['peak_gb']:.2f} GB")
    print(f"yardstick {figures['yardstick_seconds']:.2f} s, {figures['yardstick_cpu_seconds']:.2f} CPU s")
    print(f"quarantined: {figures['quarantined']}")
    return figures


def run_apart(records: Path, params: Path) -> dict[str, Any]:
    """Figures of :func:`run` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.validation", "--params", str(params), "run", str(records)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def run(records: Path, params: Path) -> None:
    """Validate one records directory; print seconds of each part and peak memory as JSON."""
    import great_expectations  # noqa: F401  # its import is a constant, not a cost of the rows

    yardstick_seconds, yardstick_cpu_seconds = yardstick()
    seconds: dict[str, float] = {}
    cpu_seconds: dict[str, float] = {}
    last = (time.perf_counter(), time.process_time())

    def clock(message: str) -> None:
        nonlocal last
        now = (time.perf_counter(), time.process_time())
        name = message.split(":", maxsplit=1)[0]
        seconds[name], cpu_seconds[name] = now[0] - last[0], now[1] - last[1]
        last = now

    settings = settings_of(params, n_points=N_POINTS)
    settings = with_blocks(
        settings, {"crystal": settings.validation["crystal"].model_copy(update={"duplicates": None})}
    )
    document = validate(settings, records, records.parent / "valid", records.parent / "reports", log=clock)
    clock("write")
    figures = {
        "seconds": seconds | {"total": sum(seconds.values())},
        "cpu_seconds": cpu_seconds | {"total": sum(cpu_seconds.values())},
        "yardstick_seconds": yardstick_seconds,
        "yardstick_cpu_seconds": yardstick_cpu_seconds,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "quarantined": {name: block["quarantined"] for name, block in document["modalities"].items()},
    }
    print(json.dumps(figures))


def yardstick() -> tuple[float, float]:
    """Seconds and CPU seconds of a fixed computation on one core."""
    matrix = np.random.default_rng(0).random((700, 700))
    start = time.perf_counter(), time.process_time()
    for _ in range(30):
        np.linalg.svd(matrix[:300, :300])
        np.sort(matrix, axis=None)
    return time.perf_counter() - start[0], time.process_time() - start[1]


def duplicates(path: Path, params: Path) -> dict[str, Any]:
    """Look for duplicates among the structures of a file, and print their number and the seconds."""
    settings = settings_of(params).validation["crystal"]
    structures = pl.concat(batches(path, "crystal", rows=Validator.batch_rows))
    summary = Validator(settings).summarize(structures)
    if settings.duplicates is None:
        raise SystemExit("validate.crystal.duplicates is null: there is nothing to measure")
    start = time.perf_counter(), time.process_time()
    group = duplicate_groups(structures, summary, settings.duplicates)
    seconds, cpu_seconds = time.perf_counter() - start[0], time.process_time() - start[1]
    n_copies = len(group) - group.n_unique()
    print(f"{len(group)} structures: {n_copies} are copies of another one; {seconds:.1f} s, {cpu_seconds:.1f} CPU s")
    return {"structures": len(group), "copies": n_copies, "seconds": seconds, "cpu_seconds": cpu_seconds}


def synthesize(sample: pl.DataFrame, out: Path, *, rows: int, grid: Grid) -> None:
    """Records of `rows` materials: the sample's cells with elements replaced by others of similar size.

    Each has a DOS of Gaussians that hold its valence electrons, its own simulated pattern, and a text of sites.
    """
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    out.mkdir(parents=True)
    symbols = {number: symbol for symbol, number in ATOMIC_NUMBERS.items()}
    electrons = electrons_by_element("gfn1", {})
    by_size = [z for z in np.argsort(covalent_radii_angstrom()[1:87]) + 1 if z not in UNCHANGED]
    angles = pattern_grid(start_deg=grid.two_theta_deg[0], stop_deg=grid.two_theta_deg[1], n_points=grid.n_points)
    schema = {name: columns_of(name) for name in modality_names()}
    schema["crystal"] = schema["crystal"] | {"split": pl.String}
    writers = {
        name: pq.ParquetWriter(
            table_path(out, name), pl.DataFrame(schema=columns).to_arrow().schema, compression="zstd"
        )
        for name, columns in schema.items()
    }
    side: dict[str, str] = {}
    for start in range(0, rows, CHUNK):
        parts: dict[str, list[tuple[Any, ...]]] = {table: [] for table in schema}
        for i in range(start, min(start + CHUNK, rows)):
            source = sample.row(i % len(sample), named=True)
            swap = dict(zip(by_size, _shuffled(by_size, np.random.default_rng(i // len(sample))), strict=True))
            numbers = [int(swap.get(z, z)) for z in source["atomic_numbers"]]
            formula = _formula(numbers, symbols)
            split = side.setdefault(formula, str(rng.choice(["train", "validation", "test"], p=[0.82, 0.06, 0.12])))
            name = f"syn-{i}"
            row = {"lattice": source["lattice"], "atomic_numbers": numbers, "frac_coords": source["frac_coords"]}
            parts["crystal"].append((name, formula, *row.values(), split))
            parts["dos"].append((name, *made_up_dos(float(electrons[numbers].sum()), rng)))
            pattern = simulate_pattern(
                structure_of(row),
                crystallite_size_nm=50.0,
                wavelength_angstrom=grid.wavelength_angstrom,
                grid_deg=angles,
            )
            parts["pxrd"].append((name, pattern, True))
            parts["text"].append((name, made_up_text(formula, numbers)))
        for table, lines in parts.items():
            frame = pl.DataFrame(lines, schema=schema[table], orient="row")
            writers[table].write_table(frame.to_arrow().cast(writers[table].schema))
    for writer in writers.values():
        writer.close()


def _shuffled(by_size: list[int], rng: np.random.Generator) -> list[int]:
    blocks = [by_size[i : i + SIMILAR] for i in range(0, len(by_size), SIMILAR)]
    return [int(z) for block in blocks for z in rng.permutation(block)]


def _formula(numbers: list[int], symbols: dict[int, str]) -> str:
    counts = Counter(numbers)
    divisor = gcd(*counts.values())
    return "".join(f"{symbols[z]}{n // divisor if n > divisor else ''}" for z, n in sorted(counts.items()))


def made_up_text(formula: str, numbers: list[int]) -> str:
    """A text of the sites of a material, in the words of a description."""
    symbols = [symbol for symbol, number in ATOMIC_NUMBERS.items() if number in numbers]
    first = symbols[0]
    sites = " ".join(f"{symbol}(1) is bonded to {first}(1) at 2.10 Å." for symbol in symbols)
    return f"{formula} crystallizes in the cubic Pm-3m space group. " + sites * 4


def made_up_dos(electrons: float, rng: np.random.Generator) -> tuple[Any, Any, float]:
    """Energies, densities and Fermi energy of a DOS of Gaussians with so many electrons below the Fermi energy."""
    efermi = float(rng.uniform(-12, 0))
    relative = np.linspace(-18, 12, N_POINTS)
    levels, width = np.concatenate([rng.uniform(-14, -1.5, 6), rng.uniform(1.5, 10, 6)]), 0.3
    peaks = np.exp(-0.5 * ((relative[:, None] - levels) / width) ** 2)
    density = peaks.sum(axis=1)
    filled = np.interp(
        0, relative, np.concatenate([[0], np.cumsum(np.diff(relative) * (density[1:] + density[:-1]) / 2)])
    )
    return (relative + efermi).astype(np.float32), (density * electrons / filled).astype(np.float32), efermi


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--json", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    of_faults = commands.add_parser("faults")
    of_faults.add_argument("records", type=Path)
    of_faults.add_argument("--share", type=float, default=0.01)
    of_scale = commands.add_parser("scale")
    of_scale.add_argument("--data", type=Path, default=Path("data"))
    of_scale.add_argument("--rows", type=int, default=170_000)
    commands.add_parser("duplicates").add_argument("structures", type=Path)
    commands.add_parser("run").add_argument("records", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "run":
        run(arguments.records, arguments.params)
        return
    if arguments.command == "faults":
        figures = faults(arguments.records, arguments.params, share=arguments.share)
    elif arguments.command == "duplicates":
        figures = duplicates(arguments.structures, arguments.params)
    else:
        figures = scale(arguments.data, arguments.params, rows=arguments.rows)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
