"""Small crystals, materials, stores and settings that the tests share."""

from __future__ import annotations

import copy
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from matbind.data.featurize import featurize
from matbind.data.prepare import prepare
from matbind.materials.structure import Structure
from matbind.modalities.combinations import parse_combination
from matbind.modalities.dos.records import Dos
from matbind.modalities.material import Material
from matbind.modalities.pxrd.records import Pattern
from matbind.modalities.store import Store, write_store
from matbind.settings import load as settings
from matbind.training import distributed
from matbind.training.trainer import Trainer
from tests.cache import shared

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data"
FACE_CENTRED = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
NO_AUGMENTATION = {
    "modalities.crystal.transform.jitter_angstrom": 0.0,
    "modalities.dos.transform": {"shift_ev": 0.0, "broadening_ev": 0.0, "noise": 0.0, "scale": 0.0},
    "modalities.pxrd.transform": {
        "crystallite_size_nm": [50.0, 50.0],
        "zero_shift_deg": 0.0,
        "texture": 0.0,
        "noise": 0.0,
        "background": 0.0,
        "hidden": 0.0,
    },
    "modalities.text.transform": {"drop_sentences": 0.0, "drop_tokens": 0.0, "train_tokens": 0, "short": 0.0},
    "deformation": {"volumetric": 0.0, "shape": 0.0},
}


def silent(_: str) -> None:
    """Take a report of progress and forget it."""


def copper(edge_angstrom: float = 3.61) -> Structure:
    """The primitive cell of fcc copper."""
    lattice = edge_angstrom / 2 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    return Structure.ordered(lattice, [[0.0, 0.0, 0.0]], [29])


def rocksalt(edge_angstrom: float = 5.64, numbers: tuple[int, int] = (11, 17)) -> Structure:
    """The conventional cell of NaCl."""
    coords = np.concatenate([FACE_CENTRED, FACE_CENTRED + np.array([0.5, 0.0, 0.0])])
    return Structure.ordered(np.eye(3) * edge_angstrom, coords, [numbers[0]] * 4 + [numbers[1]] * 4)


def triclinic() -> Structure:
    lattice = np.array([[5.1, 0.3, -0.2], [-1.7, 6.1, 0.4], [-0.8, 1.1, 7.5]])
    coords = [[0.11, 0.22, 0.33], [0.61, 0.05, 0.84], [0.37, 0.71, 0.12], [0.80, 0.55, 0.47]]
    return Structure.ordered(lattice, coords, [20, 14, 8, 8])


def mixed() -> Structure:
    """A perovskite with barium and strontium on one site and a vacancy share there."""
    coords = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]], dtype=float)
    return Structure(
        lattice=np.eye(3) * 3.95,
        frac_coords=coords,
        site_index=np.array([0, 0, 1, 2, 3, 4]),
        atomic_number=np.array([38, 56, 22, 8, 8, 8]),
        occupancy=np.array([0.3, 0.6, 1.0, 1.0, 1.0, 1.0]),
    )


def supercell(structure: Structure, repeats: tuple[int, int, int]) -> Structure:
    return Structure.from_pymatgen(structure.to_pymatgen() * repeats)


def material(structure: Structure | None = None, **values: Any) -> Material:
    """A material of the training split; ``dos``, ``pxrd`` and ``text`` as keywords."""
    named = {"material_id": "m-1", "formula": "X", "split": "train"}
    named |= {key: values.pop(key) for key in (*named,) if key in values}
    return Material(structure=structure or copper(), values=values, **named)


def flat_dos(*, density: float = 2.0, low_ev: float = -12.0, high_ev: float = 12.0, efermi_ev: float = 1.5) -> Dos:
    """A constant density between two energies relative to the Fermi level."""
    energies = np.arange(low_ev, high_ev + 1e-9, 0.05) + efermi_ev
    return Dos(energies, np.full(len(energies), density), efermi_ev)


def simulated(structure: Structure, *, crystallite_size_nm: float = 50.0) -> Pattern:
    from matbind.materials.diffraction import simulate_pattern

    return Pattern(simulate_pattern(structure, crystallite_size_nm=crystallite_size_nm), simulated=True)


def raw_settings(overrides: dict[str, Any] | None = None, *, preset: str = "smoke") -> dict[str, Any]:
    """params.yaml as nested dictionaries, with values of a preset or of the rest replaced by dotted key."""
    raw: dict[str, Any] = copy.deepcopy(yaml.safe_load((ROOT / "params.yaml").read_text()))
    raw["preset"] = preset
    for dotted, value in (overrides or {}).items():
        *parents, last = dotted.split(".")
        for start in (raw["presets"][preset], raw):
            block = start
            for key in parents:
                block = block.get(key, {}) if isinstance(block, dict) else {}
            if last in block:
                block[last] = value
                break
        else:
            raise KeyError(dotted)
    return raw


def make_settings(overrides: dict[str, Any] | None = None, *, preset: str = "smoke") -> settings.Settings:
    return settings.parse(raw_settings(overrides, preset=preset))


def store_of(directory: Path, name: str, materials: list[Material], overrides: dict[str, Any] | None = None) -> Store:
    """The feature store of one modality for a few materials, with the features of the smoke preset."""
    module = importlib.import_module(f"matbind.modalities.{name}.features")
    settings_of_features = make_settings().modalities[name].features.model_copy(update=overrides or {})
    meta = module.fit(iter(materials), settings_of_features)
    featurizer = module.Featurizer(settings_of_features, meta)
    write_store(directory / name, module.specs(settings_of_features), map(featurizer, materials), meta=meta)
    return Store(directory / name)


SMALL_RUN = {
    "prepare.data": str(DATA),
    "prepare.limit": 60,
    "prepare.split": {"validation": 0.15, "test": 0.2},
    "training.epochs": 2,
    "training.validate_every": 1,
    "training.batch_size": 16,
    "training.precision": "float32",
    "evaluation.bootstrap_resamples": 100,
}


def small_run(overrides: dict[str, Any] | None = None) -> settings.Settings:
    """Settings of a training of seconds on about 60 real materials."""
    return make_settings(SMALL_RUN | (overrides or {}))


needs_sample = pytest.mark.skipif(
    not (DATA / "structures.parquet").exists(), reason="the sample has not been pulled: dvc pull data.dvc"
)


def real_features() -> Path:
    """Feature stores of 60 real materials, made once a test run; tests only read them."""
    return shared("real", _make_real) / "features"


def _make_real(directory: Path) -> None:
    run = small_run()
    prepare(run, out=directory / "records", log=silent)
    featurize(run, records=directory / "records", out=directory / "features", log=silent)


def make_trainer(combination: str, overrides: dict[str, Any] | None = None, *, features: Path | None = None) -> Trainer:
    run = small_run(overrides)
    return Trainer(
        run, parse_combination(combination, run.hub_order), seed=run.seed, features=features or real_features()
    )


def quiet_trainer(
    combination: str, overrides: dict[str, Any] | None = None, *, features: Path | None = None
) -> Trainer:
    """A trainer in which nothing is random but the order of the materials and the first weights."""
    return make_trainer(combination, NO_AUGMENTATION | (overrides or {}), features=features)


def first_gradients(trainer: Trainer) -> dict[str, np.ndarray]:
    """Gradients of the first batch of training, averaged over the ranks."""
    trainer.model.train()
    index = next(trainer._batches(np.random.default_rng(0)))
    losses = trainer.losses(index, np.random.default_rng(1))
    torch.stack(list(losses.values())).mean().backward()
    distributed.average_gradients(trainer.model.parameters())
    gradients = {name: p.grad.numpy().copy() for name, p in trainer.model.named_parameters() if p.grad is not None}
    trainer.model.zero_grad()
    return gradients


def run_ranks(directory: Path, *jobs: str, world: int = 2) -> dict[str, list[dict[str, np.ndarray]]]:
    """Run jobs of ranks.py in several processes and return, job by job, the arrays of every rank."""
    command = [sys.executable, str(ROOT / "tests/training/ranks.py")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [*command, str(rank), str(world), str(directory), *jobs], env=environment, stderr=subprocess.PIPE, text=True
        )
        for rank in range(world)
    ]
    errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0] * world, "\n".join(errors)
    arrays: dict[str, list[dict[str, np.ndarray]]] = {job: [{} for _ in range(world)] for job in jobs}
    for rank in range(world):
        for key, value in np.load(directory / f"{rank}.npz").items():
            job, _, name = key.rpartition("/")
            arrays[job][rank][name] = value
    return arrays
