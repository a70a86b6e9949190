"""Retrieval with worse measurements: queries whose features or values are perturbed, embedded anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.analysis.inputs import Inputs, Request, open_inputs
from matbind.analysis.task import Task, UnavailableError, answer
from matbind.base.model_files import WEIGHTS
from matbind.evaluation.retrieval import MIN_ROWS, present_rows, ranks
from matbind.evaluation.two_level import share_interval
from matbind.modalities.combinations import pair_name
from matbind.modalities.material import Material
from matbind.modalities.perturbation import RowPerturbation, row_perturbations, value_perturbations
from matbind.modalities.records import Records
from matbind.modalities.store import MemoryStore, Store
from matbind.modalities.table import part, structure_name, value_names
from matbind.serving.searcher import read_settings
from matbind.training.embedder import Embedder

FULL = "full"

IntArray = npt.NDArray[np.int64]


def tasks(inputs: Inputs) -> list[Task]:
    """Return one task for each model, modality and kind of perturbation."""
    return [
        Task(f"{kind} {modality} {name}", partial(measure, inputs.request, name, modality), cost=30.0)
        for kind, perturbations, measure in (
            ("rows", row_perturbations, curves),
            ("value", value_perturbations, levels),
        )
        for modality in value_names()
        if perturbations(modality)
        for name in models(inputs, modality)
    ]


def models(inputs: Inputs, modality: str) -> list[str]:
    """Return the combinations whose queries are perturbed: the structure with that modality alone, and all."""
    return [f"{structure_name()}+{modality}", inputs.everything]


def curves(request: Request, name: str, modality: str) -> dict[str, Any]:
    """Measure recall@1 of the queries of one modality against the strength of each perturbation of its rows.

    Recalls are means over the trainings of the combination.

    Returns:
        By perturbation: ``pairs``, or why it could not be measured.

    Raises:
        UnavailableError: if the combination was not trained, or too few test materials hold the modality.
    """
    inputs = open_inputs(request)
    embedders, store, rows = _models_and_queries(inputs, name, modality)

    def curve(key: str, perturbation: RowPerturbation) -> dict[str, Any]:
        values = store.dense(perturbation.array, inputs.test[rows])
        queries = []
        for strength in request.settings.robustness[modality][key]:
            try:
                worse = perturbation(values, strength, bounds=store.meta[perturbation.axis], seed=request.seed)
            except ValueError as error:
                raise UnavailableError(str(error)) from error
            queries.append([_embed_rows(of, modality, perturbation.array, worse, store) for of in embedders])
        return {"pairs": _recalls(inputs, name, modality, rows, queries)}

    return {key: answer(partial(curve, key, change)) for key, change in row_perturbations(modality).items()}


def levels(request: Request, name: str, modality: str) -> dict[str, Any]:
    """Measure recall@1 of queries of one modality in full and after each perturbation of its values.

    Returns:
        ``pairs``, and by level how many values nothing is left of; those are asked at no level.

    Raises:
        UnavailableError: as `curves`.
    """
    inputs = open_inputs(request)
    embedders, store, rows = _models_and_queries(inputs, name, modality)
    features = part(modality, "features")
    settings = embedders[0].settings.modalities[modality].features
    featurizer = features.Featurizer(settings, store.meta)
    ids = inputs.index["material_id"][inputs.test[rows]].to_list()
    every = Records(request.records).materials(only=(modality,))
    by_id = {material.material_id: material for material in every if material.split == "test"}
    materials = [by_id[material_id] for material_id in ids]
    applied: dict[str, Callable[[Any], Any]] = {FULL: lambda value: value}
    applied |= {key: perturbation.apply for key, perturbation in value_perturbations(modality).items()}
    featurized = {
        level: [_features(featurizer, material, modality, apply(material.values[modality])) for material in materials]
        for level, apply in applied.items()
    }
    usable = np.array([all(row is not None for row in versions) for versions in zip(*featurized.values(), strict=True)])
    kept = np.flatnonzero(usable)
    queries = []
    for versions in featurized.values():
        memory = MemoryStore(features.specs(settings), [versions[i] for i in kept], store.meta)
        queries.append([embedder.embed_store(modality, memory, np.arange(len(kept))) for embedder in embedders])
    return {
        "pairs": _recalls(inputs, name, modality, rows[kept], queries),
        "failed": {level: sum(row is None for row in versions) for level, versions in featurized.items()},
    }


def assemble(inputs: Inputs, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of robustness.json: curves by modality, and a section for each with perturbed values."""
    content: dict[str, Any] = {"curves": {}}
    for modality in value_names():
        if rows := row_perturbations(modality):
            answers = {name: results[f"rows {modality} {name}"] for name in models(inputs, modality)}
            content["curves"][modality] = {
                key: {
                    "unit": perturbation.unit,
                    "strengths": inputs.request.settings.robustness[modality][key],
                    "models": {name: reply.get(key, reply) for name, reply in answers.items()},
                }
                for key, perturbation in rows.items()
            }
        if values := value_perturbations(modality):
            answers = {name: results[f"value {modality} {name}"] for name in models(inputs, modality)}
            content[modality] = {"levels": [FULL, *values], "models": answers}
    return content


def _models_and_queries(inputs: Inputs, name: str, modality: str) -> tuple[list[Embedder], Store, IntArray]:
    """Return the model of every training, the store, and the rows of the test embeddings that hold the modality."""
    from safetensors.torch import load_file

    combination = inputs.require(name)
    stores = {side: Store(inputs.request.features / side) for side in combination.modalities}
    metas = {side: store.meta for side, store in stores.items()}
    embedders = []
    for model_dir in (inputs.directory(name, seed) for seed in inputs.seeds(name)):
        settings = read_settings(model_dir, combination.modalities)
        embedders.append(Embedder(settings, combination, metas, load_file(model_dir / WEIGHTS)))
    rows = np.flatnonzero(present_rows(inputs.test_embeddings(name)[modality]))
    if len(rows) < MIN_ROWS:
        raise UnavailableError(f"{len(rows)} test materials hold {modality}, expected at least {MIN_ROWS}")
    return embedders, stores[modality], rows


def _embed_rows(
    embedder: Embedder, modality: str, array: str, rows: npt.NDArray[np.float32], store: Store
) -> npt.NDArray[np.float32]:
    specs = part(modality, "features").specs(embedder.settings.modalities[modality].features)
    # What a pattern could be drawn anew from is not looked at outside of training.
    nothing = {name: np.zeros((0, *spec.row_shape)) for name, spec in specs.items() if spec.ragged}
    memory = MemoryStore(specs, [{**nothing, array: row} for row in rows], store.meta)
    return embedder.embed_store(modality, memory, np.arange(len(rows)))


def _recalls(
    inputs: Inputs, name: str, modality: str, rows: IntArray, queries: Sequence[Sequence[npt.NDArray[np.float32]]]
) -> dict[str, Any]:
    """Measure recall@1 of several versions of the same queries against the stored keys of every other modality.

    Args:
        inputs: materials and models.
        name: of the combination.
        modality: of the queries.
        rows: of the test embeddings that are asked.
        queries: of every version its embeddings by each training.
    """
    trainings = [inputs.test_modalities(name, seed) for seed in inputs.seeds(name)]
    seed, n_resamples = inputs.request.seed, inputs.request.settings.bootstrap_resamples
    pairs: dict[str, Any] = {}
    for key in trainings[0]:
        if key == modality:
            continue
        both = np.flatnonzero(present_rows(trainings[0][key])[rows])
        if len(both) < MIN_ROWS:
            pairs[pair_name(modality, key)] = {"unavailable": f"{len(both)} test materials hold both"}
            continue
        keys = [embeddings[key][rows[both]] for embeddings in trainings]
        hits = [_hits(version, keys, both) for version in queries]
        before = _hits([embeddings[modality][rows] for embeddings in trainings], keys, both)
        pairs[pair_name(modality, key)] = {
            "n": len(both),
            "chance_at_1": 1 / len(both),
            "stored_recall_at_1": float(before.mean()),
            "recall_at_1": [float(hit.mean()) for hit in hits],
            "recall_at_1_ci95": [share_interval(hit, seed=seed, n_resamples=n_resamples) for hit in hits],
        }
    return pairs


def _hits(
    queries: Sequence[npt.NDArray[np.float32]], keys: Sequence[npt.NDArray[np.float32]], both: IntArray
) -> npt.NDArray[np.bool_]:
    """Return which of some queries hit, shape (n_trainings, n_asked); queries and keys are of every training."""
    return np.array([ranks(query[both], key) <= 1 for query, key in zip(queries, keys, strict=True)])


def _features(featurizer: Any, material: Material, modality: str, value: Any) -> Any:
    """Return the features of another value of a material, None where nothing of it is left that describes it."""
    try:
        return featurizer(replace(material, values={modality: value}))
    except ValueError:
        return None
