"""What the data side costs: against public code, a second, and as the data set grows.

    python -m benchmarks.data [--quick] [--structures FILE] [--json FILE]

- text_ratio, pxrd_ratio, graph_ratio: CPU seconds of stock Robocrystallographer, of pymatgen's XRDCalculator and of a
  loop over pymatgen's neighbours, over ours, for the same structures in the same process; results have to be equal.
- materials a second of every step, on one core.
- prepare, validate and featurize for 1,000 and 4,000 structures, and for all those of `--structures`, each size in a
  process of its own, one worker: seconds, peak memory up to the end of each stage, the exponent of the growth, and what
  follows for 170,000.

All is timed in CPU seconds beside those of the clock, because other work on the machine shows in the latter only.
Compiled functions run once before anything is timed. The growing data sets have made-up densities of states and texts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from benchmarks.validation import allowing_all, made_up_dos, made_up_text, yardstick
from matbind.data import prepare as prepare_stage
from matbind.data.featurize import featurize
from matbind.data.validation.stage import validate
from matbind.materials.diffraction import broaden, pattern_grid, reflections, scherrer_fwhm_deg, simulate_pattern
from matbind.materials.neighbors import TIE_STEP_ANGSTROM, neighbor_graph
from matbind.materials.structure import structure_of
from matbind.modalities.crystal import features as crystal
from matbind.modalities.crystal.settings import FeaturesSettings
from matbind.modalities.dos.valence import electrons_by_element
from matbind.modalities.material import Material
from matbind.modalities.records import columns_of
from matbind.settings.load import parse
from matbind.settings.params import Settings

HERE = Path(__file__).parent
PAPER_MATERIALS = 170_000
SIZES = (1000, 4000)
WARM_UP = 60
LIBRARIES = ("matbind", "numpy", "numba", "polars", "pyarrow", "pymatgen", "robocrys", "spglib", "great-expectations")
FAINT_PERCENT = 0.01  # of the strongest peak: fainter ones may be merged differently, 1e-5 degrees apart
STRONG_ANGLE_DEG = 1.1e-5
INTENSITY_TOLERANCE = 1e-6
PATTERN_TOLERANCE = 1e-4
EDGE_TOLERANCE_ANGSTROM = 1e-4
SILENT: Callable[[str], None] = lambda _: None  # noqa: E731


class Clock:
    """Seconds and CPU seconds, children of this process included, since it was made."""

    def __init__(self) -> None:
        self._start = self._now()

    def read(self) -> dict[str, float]:
        """What has passed."""
        seconds, cpu = (now - then for now, then in zip(self._now(), self._start, strict=True))
        return {"seconds": seconds, "cpu_seconds": cpu}

    @staticmethod
    def _now() -> tuple[float, float]:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.perf_counter(), time.process_time() + children.ru_utime + children.ru_stime


def main() -> None:
    """Run everything, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="directory with structures.parquet")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--structures", type=Path, help="a larger structures.parquet, for the growth")
    parser.add_argument("--quick", action="store_true", help="10 texts by stock Robocrystallographer, not 60")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--grow", nargs=2, metavar=("DIRECTORY", "ROWS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.grow:
        print(json.dumps(stages(Path(arguments.grow[0]), int(arguments.grow[1]), arguments.params)))
        return
    sample = pl.read_parquet(arguments.data / "structures.parquet")
    figures: dict[str, Any] = {"environment": environment()}
    chosen = spread(sample, 60)
    figures |= text_ratio(arguments.data, 10 if arguments.quick else 60)
    figures |= pxrd_ratio(chosen)
    figures |= graph_ratio(chosen)
    figures["materials_per_cpu_second"] = steps(spread(sample, 1000), figures)
    figures["growth"] = growth(sample, arguments.structures, arguments.params)
    full = figures["growth"]["sizes"][-1]
    figures["materials_per_cpu_second"] |= {
        f"{name}, the whole stage": full["materials"] / full[name]["cpu_seconds"] for name in STAGES
    }
    show(figures)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def environment() -> dict[str, Any]:
    """Versions, processor, and how fast it is at the moment."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    seconds, cpu_seconds = yardstick()
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "yardstick_seconds": seconds,
        "yardstick_cpu_seconds": cpu_seconds,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
        "compiled_functions": "run once before timing",
    }


def spread(table: pl.DataFrame, n: int) -> list[dict[str, Any]]:
    """Rows spread evenly over the number of sites, the smallest and the largest among them."""
    ordered = table.with_columns(n_sites=pl.col("atomic_numbers").list.len()).sort("n_sites", "material_id")
    last = len(ordered) - 1
    return [ordered.row(round(i * last / (n - 1)), named=True) for i in range(min(n, len(ordered)))]


def text_ratio(data: Path, n: int) -> dict[str, Any]:
    """Figures of benchmarks/description.py, which needs a process of its own for its hash seed."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "text.json"
        command = [sys.executable, str(HERE / "description.py"), "--data", str(data), "--structures", str(n)]
        subprocess.run([*command, "--json", str(out)], check=True, stdout=sys.stderr)
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def pxrd_ratio(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Angles and intensities of all reflections from 5 to 90 degrees, by pymatgen and by ours."""
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    calculator = XRDCalculator(wavelength="CuKa", symprec=0)
    grid = pattern_grid()
    structures = [structure_of(row) for row in rows]
    simulate_pattern(structures[0], crystallite_size_nm=50.0)
    given = [structure.to_pymatgen() for structure in structures]
    clock = Clock()
    stock = [calculator.get_pattern(each, two_theta_range=(5.0, 90.0)) for each in given]
    stock_seconds = clock.read()["cpu_seconds"]
    clock = Clock()
    ours = [reflections(structure) for structure in structures]
    our_seconds = clock.read()["cpu_seconds"]
    equal = sum(_same_peaks(*both, grid) for both in zip(ours, stock, strict=True))
    return {
        "pxrd_ratio": stock_seconds / our_seconds,
        "pxrd_structures": len(structures),
        "pxrd_equal": equal,
        "pxrd_compared": "reflections from 5 to 90 degrees, Cu K-alpha: angle and intensity of every peak above 0.01 % "
        "(1.1e-5 degrees, 1e-6 relative), and the pattern of 8,501 points broadened from them (1e-4 of its maximum)",
        "pxrd_stock_cpu_seconds_per_structure": stock_seconds / len(structures),
        "pxrd_cpu_seconds_per_structure": our_seconds / len(structures),
    }


def _same_peaks(ours: Any, stock: Any, grid: Any) -> bool:
    strong, expected = ours.intensity > FAINT_PERCENT, stock.y > FAINT_PERCENT
    if strong.sum() != expected.sum():
        return False
    near = np.abs(ours.two_theta_deg[strong] - stock.x[expected]).max() <= STRONG_ANGLE_DEG
    same = np.allclose(ours.intensity[strong], stock.y[expected], rtol=INTENSITY_TOLERANCE)
    patterns = [
        broaden(angle, height, grid_deg=grid, fwhm_deg=scherrer_fwhm_deg(angle, crystallite_size_nm=50.0))
        for angle, height in ((ours.two_theta_deg, ours.intensity), (stock.x, stock.y))
    ]
    return bool(near and same and np.allclose(*patterns, atol=PATTERN_TOLERANCE))


def graph_ratio(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The 12 nearest neighbours within 8 angstrom of every site, by a loop over pymatgen's neighbours and by ours."""
    structures = [structure_of(row) for row in rows]
    neighbor_graph(structures[0])
    given = [structure.to_pymatgen() for structure in structures]
    clock = Clock()
    stock = [edges_of_pymatgen(each) for each in given]
    stock_seconds = clock.read()["cpu_seconds"]
    clock = Clock()
    ours = [neighbor_graph(structure) for structure in structures]
    our_seconds = clock.read()["cpu_seconds"]
    equal = edges = 0
    for graph, (index, vector) in zip(ours, stock, strict=True):
        edges += int((index >= 0).sum())
        same = np.array_equal(graph.neighbor, index)
        equal += bool(same and np.abs(graph.edge_vector - vector).max() <= EDGE_TOLERANCE_ANGSTROM)
    return {
        "graph_ratio": stock_seconds / our_seconds,
        "graph_structures": len(structures),
        "graph_equal": equal,
        "graph_edges": edges,
        "graph_compared": "sites and vectors of all edges (1e-4 angstrom), neighbours in the order of distance, site, "
        "image; get_all_neighbors(8) and a loop over its neighbours against one compiled call",
        "graph_stock_cpu_seconds_per_structure": stock_seconds / len(structures),
        "graph_cpu_seconds_per_structure": our_seconds / len(structures),
    }


def edges_of_pymatgen(structure: Any, *, cutoff_angstrom: float = 8.0, max_neighbors: int = 12) -> tuple[Any, Any]:
    """Neighbours (n_sites, 12), -1 where there is none, and vectors (n_sites, 12, 3), edge by edge."""
    index = np.full((len(structure), max_neighbors), -1)
    vector = np.zeros((len(structure), max_neighbors, 3))
    for i, found in enumerate(structure.get_all_neighbors(cutoff_angstrom)):
        found.sort(key=lambda n: (round(n.nn_distance / TIE_STEP_ANGSTROM), n.index, *map(int, n.image)))
        for slot, neighbor in enumerate(found[:max_neighbors]):
            index[i, slot] = neighbor.index
            vector[i, slot] = neighbor.coords - structure[i].coords
    return index, vector


def steps(rows: list[dict[str, Any]], figures: dict[str, Any]) -> dict[str, float]:
    """Materials a CPU second of the steps on one core; rows of the sample, spread over the sizes."""
    structures = [structure_of(row) for row in rows]
    materials = [Material(str(i), "X", structure, "train") for i, structure in enumerate(structures)]
    settings = FeaturesSettings(cutoff_angstrom=8.0, max_neighbors=12, g_stop_per_angstrom=0.95)
    featurizer = crystal.Featurizer(settings, {})
    table = pl.DataFrame(rows).select(*columns_of("crystal"))
    kernels: dict[str, Callable[[], Any]] = {
        "sound check": lambda: prepare_stage.faults(table),
        "powder pattern, 8,501 points": lambda: [simulate_pattern(s, crystallite_size_nm=50.0) for s in structures],
        "graph, 12 neighbours": lambda: [neighbor_graph(s) for s in structures],
        "crystal features, all": lambda: [featurizer(material) for material in materials],
    }
    featurizer(materials[0])
    rates = {}
    for name, kernel in kernels.items():
        clock = Clock()
        kernel()
        rates[name] = len(rows) / clock.read()["cpu_seconds"]
    return rates | {"text": 1.0 / figures["text_cpu_seconds_per_structure"]}


STAGES = ("prepare", "validate", "featurize")


def growth(sample: pl.DataFrame, larger: Path | None, params: Path) -> dict[str, Any]:
    """The three stages on data sets of growing size, each in a process of its own."""
    table = pl.read_parquet(larger) if larger else sample
    sizes = []
    for n in sorted(
        {*(size for size in SIZES if size < len(table)), len(table) if larger else min(*SIZES[1:], len(table))}
    ):
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch)
            made_up_data(table.gather_every(len(table) // n).head(n), directory / "data")
            command = [
                sys.executable,
                "-m",
                "benchmarks.data",
                "--params",
                str(params),
                "--grow",
                str(directory),
                str(n),
            ]
            environment_ = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)}
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment_)
            sizes.append(json.loads(done.stdout.splitlines()[-1]))
    return {"sizes": sizes, "fits": {name: fit(sizes, name) for name in STAGES}, "materials": PAPER_MATERIALS}


def fit(sizes: list[dict[str, Any]], name: str) -> dict[str, float]:
    """Exponent of the CPU seconds over the materials, and what follows for the paper's number of them.

    Time is extrapolated by the exponent, or in proportion where that is more; memory along the last two sizes.
    """
    n = np.array([size["materials"] for size in sizes], dtype=float)
    cpu, memory = (np.array([size[name][key] for size in sizes]) for key in ("cpu_seconds", "peak_gb"))
    exponent = float(np.polyfit(np.log(n), np.log(cpu), 1)[0])
    slope = (memory[-1] - memory[-2]) / (n[-1] - n[-2])
    return {
        "exponent": exponent,
        "extrapolated_cpu_seconds": float(cpu[-1] * (PAPER_MATERIALS / n[-1]) ** max(exponent, 1.0)),
        "extrapolated_peak_gb": float(memory[-1] + slope * (PAPER_MATERIALS - n[-1])),
    }


def made_up_data(structures: pl.DataFrame, directory: Path) -> None:
    """A data directory of real structures with made-up densities of states and texts."""
    directory.mkdir(parents=True)
    rng = np.random.default_rng(0)
    electrons = np.nan_to_num(electrons_by_element("gfn1", {}), nan=4.0)
    rows = structures.select("material_id", "formula", "atomic_numbers").rows()
    dos = [(name, *made_up_dos(float(electrons[numbers].sum()), rng)) for name, _, numbers in rows]
    text = [(name, made_up_text(formula, numbers)) for name, formula, numbers in rows]
    structures.write_parquet(directory / "structures.parquet")
    pl.DataFrame(dos, schema=columns_of("dos"), orient="row").write_parquet(directory / "dos.parquet")
    pl.DataFrame(text, schema=columns_of("text"), orient="row").write_parquet(directory / "text.parquet")


def stages(directory: Path, n: int, params: Path) -> dict[str, Any]:
    """Seconds and memory of the stages on a data directory, in this process and without others."""
    raw = yaml.safe_load(params.read_text(encoding="utf-8"))
    warm = directory / "warm"
    made_up_data(pl.read_parquet(directory / "data" / "structures.parquet").head(WARM_UP), warm / "data")
    run_stages(_settings_for(raw, warm), warm)
    return run_stages(_settings_for(raw, directory), directory) | {"materials": n}


def _settings_for(raw: dict[str, Any], directory: Path) -> Settings:
    # The split is of no importance here, but each side needs a material even when there are few.
    few = {"validation": 0.2, "test": 0.2}
    own = {"data": str(directory / "data"), "split": few} | ({"source": "tables"} if "source" in raw["prepare"] else {})
    return parse(raw | {"prepare": raw["prepare"] | own})


def run_stages(settings: Settings, directory: Path) -> dict[str, Any]:
    """Prepare, validate and featurize, one after the other."""
    records, valid, features = (directory / name for name in ("records", "valid", "features"))
    calls: dict[str, Callable[[], Any]] = {
        "prepare": lambda: prepare_stage.prepare(settings, out=records, log=SILENT),
        "validate": lambda: validate(allowing_all(settings), records, valid, directory / "reports", log=SILENT),
        "featurize": lambda: featurize(settings, records=valid, out=features, log=SILENT),
    }
    found: dict[str, Any] = {}
    for name in STAGES:
        clock = Clock()
        calls[name]()
        found[name] = clock.read() | {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    return found


def show(figures: dict[str, Any]) -> None:
    """Print the figures as tables."""
    where = figures["environment"]
    print(f"{where['cpu']}, {where['cores']} cores, load {where['load_average']:.1f}")
    print(f"yardstick {where['yardstick_seconds']:.2f} s, {where['yardstick_cpu_seconds']:.2f} CPU s\n")
    print(f"{'against public code':28}{'ratio':>8}{'equal':>9}")
    for name in ("text", "pxrd", "graph"):
        equal = f"{figures[f'{name}_equal']}/{figures[f'{name}_structures']}"
        print(f"{name:28}{figures[f'{name}_ratio']:8.2f}{equal:>9}")
    print(f"\n{'materials a CPU second':36}")
    for name, rate in figures["materials_per_cpu_second"].items():
        print(f"{name:36}{rate:10.1f}")
    print(f"\n{'growth':12}{'materials':>10}{'seconds':>10}{'CPU s':>10}{'peak GB':>10}")
    for name in STAGES:
        for size in figures["growth"]["sizes"]:
            of = size[name]
            print(f"{name:12}{size['materials']:10}{of['seconds']:10.1f}{of['cpu_seconds']:10.1f}{of['peak_gb']:10.2f}")
        of = figures["growth"]["fits"][name]
        print(
            f"{'':12}{PAPER_MATERIALS:10}{'':10}{of['extrapolated_cpu_seconds']:10.0f}{of['extrapolated_peak_gb']:10.1f}"
            f"  extrapolated, exponent {of['exponent']:.2f}"
        )


if __name__ == "__main__":
    main()
