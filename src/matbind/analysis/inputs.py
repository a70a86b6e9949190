"""What every question starts from: the materials, the trained combinations and their embeddings."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.analysis.symmetries import read_symmetries
from matbind.analysis.task import UnavailableError
from matbind.base.errors import UserError
from matbind.base.files import read_json
from matbind.base.model_files import TRAINED, training_directory
from matbind.data.featurize import INDEX
from matbind.evaluation.two_level import Weights, resampling_weights
from matbind.materials.symmetry import Symmetry
from matbind.modalities.combinations import Combination, all_combinations
from matbind.settings.analysis import AnalysisSettings
from matbind.training.embeddings import Embeddings, read_embeddings, read_test_embeddings


@dataclass(frozen=True, slots=True)
class Request:
    """Where everything is and how it is asked; small, so that it can be sent to any process.

    Attributes:
        settings: the section `analysis`.
        seed: of all that is drawn.
        hub_order: as in the settings.
        records: the records directory.
        features: the feature stores.
        models: holds `<combination>/seed-<n>/` for each training.
        metrics: holds `<combination>.json` for each.
        out: the directory to write to.
        state: digest of what is there; the inputs of another state are not the same.
    """

    settings: AnalysisSettings = field(hash=False)
    seed: int
    hub_order: tuple[str, ...]
    records: Path
    features: Path
    models: Path
    metrics: Path
    out: Path
    state: str = ""

    @property
    def symmetry(self) -> Path:
        """The table that `matbind.analysis.symmetries` writes."""
        return self.out / "symmetry.parquet"


class Inputs:
    """Materials and models of one request, read when they are asked for and kept."""

    def __init__(self, request: Request) -> None:
        """See which combinations were trained.

        Raises:
            UserError: if the features or all metrics are missing.
        """
        self.request = request
        self.combinations: dict[str, Combination] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.missing: dict[str, str] = {}
        for combination in all_combinations(request.hub_order):
            name = combination.name
            path = request.metrics / f"{name}.json"
            run = read_json(path) if path.exists() else None
            if run is None:
                self.missing[name] = "it was not trained"
            elif "error" in run:
                self.missing[name] = f"its training failed: {run['error']}"
            elif strangers := [t["seed"] for t in run["trainings"] if not self._holds(t)]:
                model_dir = training_directory(request.models, name, strangers[0])
                self.missing[name] = f"{model_dir} does not hold the model that its metrics are of"
            else:
                self.combinations[name], self.runs[name] = combination, run
        if not self.runs:
            reason = next(iter(self.missing.values()))
            raise UserError(f"{request.metrics}: no combination can be analysed, the first because {reason}")

    def _holds(self, training: dict[str, Any]) -> bool:
        """Return whether the models hold the training of an evaluation."""
        path = self.directory(training["combination"], training["seed"]) / TRAINED
        return path.exists() and bool(read_json(path)["fingerprint"] == training["fingerprint"])

    def directory(self, name: str, seed: int) -> Path:
        """Return the directory of a training."""
        return training_directory(self.request.models, name, seed)

    def seeds(self, name: str) -> list[int]:
        """Return the seeds of the trainings of a combination."""
        return list(self.runs[name]["seeds"])

    @cached_property
    def index(self) -> pl.DataFrame:
        """``material_id``, ``formula`` and ``split`` of all materials; a `UserError` if the file is missing."""
        path = self.request.features / INDEX
        if not path.exists():
            raise UserError(f"{path}: the file does not exist, run the featurize stage first")
        return pl.read_parquet(path)

    @cached_property
    def split(self) -> npt.NDArray[np.str_]:
        """Split of every material, shape (n_materials,)."""
        return self.index["split"].to_numpy().astype(str)

    @cached_property
    def test(self) -> npt.NDArray[np.int64]:
        """Positions of the test split's materials, in the order of the test embeddings."""
        return np.flatnonzero(self.split == "test")

    @cached_property
    def symmetries(self) -> list[Symmetry | None]:
        """Symmetry of every material."""
        return read_symmetries(self.request.symmetry)

    @property
    def everything(self) -> str:
        """Name of the combination of all modalities, trained or not."""
        return all_combinations(self.request.hub_order)[-1].name

    def all_with(self, modality: str) -> list[str]:
        """Return the combinations that hold a modality, trained or not."""
        every = all_combinations(self.request.hub_order)
        return [combination.name for combination in every if modality in combination.modalities]

    def trained_with(self, modality: str) -> list[str]:
        """Return the trained combinations that hold a modality."""
        return [name for name, combination in self.combinations.items() if modality in combination.modalities]

    @property
    def unavailable(self) -> dict[str, dict[str, str]]:
        """What stands in place of a result, by the name of each combination that was not trained."""
        return {name: {"unavailable": reason} for name, reason in self.missing.items()}

    def require(self, name: str) -> Combination:
        """Return a trained combination; raise an `UnavailableError` with the reason if it was not trained."""
        if name in self.missing:
            raise UnavailableError(f"{name}: {self.missing[name]}")
        return self.combinations[name]

    @cached_property
    def weights(self) -> Weights:
        """The resamples of the test split that the bootstrap of every question shares."""
        n_resamples = self.request.settings.bootstrap_resamples
        return resampling_weights(len(self.test), n_resamples=n_resamples, seed=self.request.seed)

    def embeddings(self, name: str, seed: int | None = None) -> Embeddings:
        """Read the embeddings of all materials by a training of a combination, by modality.

        Args:
            name: of the combination.
            seed: of the training; by default of the one that is the combination's model, likewise below.
        """
        return read_embeddings(self.directory(name, self.runs[name]["seed"] if seed is None else seed))

    def test_embeddings(self, name: str, seed: int | None = None) -> Embeddings:
        """Read the embeddings of the test split by a training, by modality, and the views of a single."""
        return read_test_embeddings(self.directory(name, self.runs[name]["seed"] if seed is None else seed))

    def test_modalities(self, name: str, seed: int | None = None) -> Embeddings:
        """Read them without the views."""
        embeddings = self.test_embeddings(name, seed)
        return {modality: embeddings[modality] for modality in self.combinations[name].modalities}


@lru_cache(maxsize=1)
def open_inputs(request: Request) -> Inputs:
    """Open the inputs of a request, once in each process."""
    return Inputs(request)
