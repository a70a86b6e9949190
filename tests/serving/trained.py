"""A model of seconds, and real materials as queries; shared by the tests of serving, registry and search."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from matbind.base.files import read_json
from matbind.base.model_files import chosen_directory
from matbind.modalities.combinations import Combination, parse_combination
from matbind.modalities.material import Material
from matbind.modalities.records import Records
from matbind.serving.bundle import write_bundle
from matbind.serving.searcher import Searcher
from matbind.training.combination import train_and_evaluate
from matbind.training.embeddings import read_test_embeddings
from matbind.training.pooled import pool
from tests.cache import shared
from tests.factories import real_features, small_run

EVERYTHING = "crystal+dos+pxrd+text"
GRID_DEG = np.linspace(5.0, 90.0, 8501)  # of prepare.pxrd
WAVELENGTH_ANGSTROM = 1.54184


@dataclass(frozen=True)
class Trained:
    """What an ablation of one combination left behind; tests only read it."""

    combination: Combination
    root: Path
    evaluation: dict[str, Any]

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics"

    @property
    def directory(self) -> Path:
        return chosen_directory(self.models, self.combination.name)

    @property
    def test_embeddings(self) -> dict[str, np.ndarray]:
        return read_test_embeddings(self.directory)


def trained(name: str = EVERYTHING) -> Trained:
    """Train a combination for one epoch, once a test run."""

    def make(out: Path) -> None:
        settings = small_run({"training.epochs": 1})
        places = {"features": real_features(), "models": out / "models"}
        train_and_evaluate(settings, parse_combination(name), seed=0, **places)
        pool(settings, parse_combination(name), metrics=out / "metrics", **places)

    root = shared(f"trained-{name}", make)
    return Trained(parse_combination(name), root, read_json(root / "metrics" / f"{name}.json"))


def bundle(name: str = EVERYTHING) -> Path:
    """Write the bundle of a combination, once a test run."""

    def make(out: Path) -> None:
        model = trained(name)
        write_bundle(model.combination, model_dir=model.directory, features=real_features(), out=out)

    return shared(f"bundle-{name}", make)


@cache
def _searcher(name: str) -> Searcher:
    return Searcher(bundle(name))


def searcher(name: str = EVERYTHING) -> Searcher:
    return _searcher(name)


@cache
def test_materials() -> tuple[Material, ...]:
    """The materials of the test split, in the order of the stored embeddings."""
    return tuple(m for m in Records(real_features().parent / "records").materials() if m.split == "test")


test_materials.__test__ = False  # its name is that of the split, it is no test


def with_dos() -> Material:
    """The first material of the test split that has a density of states."""
    return next(material for material in test_materials() if "dos" in material.values)


def intensity(material: Material) -> np.ndarray:
    """The pattern of a material."""
    return np.asarray(material.values["pxrd"].intensity)


def query(material: Material, name: str, column: str | None = None) -> dict[str, str]:
    """One modality of a material as a user would give it."""
    if name == "crystal":
        column = column or "poscar"
        return {column: material.structure.to_pymatgen().to(fmt=column)}
    if name == "dos":
        return {"dos": dos_json(material)}
    if name == "pxrd":
        return {"pxrd": pattern_json(intensity(material))}
    return {"text": material.values["text"]}


def dos_json(material: Material, **changes: Any) -> str:
    dos = material.values["dos"]
    content = {
        "energies_ev": dos.energies_ev.tolist(),
        "densities": dos.densities.tolist(),
        "efermi_ev": dos.efermi_ev,
        "n_atoms": float(material.structure.occupancy.sum()),
    }
    return json.dumps(content | changes)


def pattern_json(measured: np.ndarray, /, **changes: Any) -> str:
    content = {
        "two_theta_deg": GRID_DEG.tolist(),
        "intensity": np.asarray(measured, dtype=float).tolist(),
        "wavelength_angstrom": WAVELENGTH_ANGSTROM,
    }
    return json.dumps({key: value for key, value in (content | changes).items() if value is not None})
