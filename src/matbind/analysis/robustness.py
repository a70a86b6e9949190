"""Retrieval with worse measurements: perturbed patterns and densities of states, shortened texts, embedded anew."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.analysis.inputs import Inputs, Request, answer, open_inputs
from matbind.analysis.measures.robustness import PERTURBATIONS, SHORTENED, perturb
from matbind.analysis.measures.unavailable import UnavailableError
from matbind.analysis.task import Task
from matbind.base.model_files import WEIGHTS
from matbind.evaluation.retrieval import MIN_ROWS, bootstrap_interval, ranks
from matbind.evaluation.vectors import held_rows
from matbind.materials.structure import structure_of
from matbind.modalities.combinations import Combination, pair_name
from matbind.modalities.dos import features as dos
from matbind.modalities.material import Material
from matbind.modalities.memory_store import MemoryStore
from matbind.modalities.pxrd import features as pxrd
from matbind.modalities.records import Records
from matbind.modalities.store import Store
from matbind.modalities.text import features as text
from matbind.serving.searcher import read_settings
from matbind.training.embedder import Embedder
from matbind.training.embeddings import Embeddings

CRYSTAL, TEXT = "crystal", "text"
FULL = "full"
LEVELS = (FULL, *SHORTENED)
_ROWS = {"pxrd": (pxrd, "pattern"), "dos": (dos, "density")}
_RANGES = {"pxrd": "two_theta_deg", "dos": "window_ev"}

IntArray = npt.NDArray[np.int64]


def tasks(inputs: Inputs) -> list[Task]:
    """One task a modality and model: the one of all modalities, and crystal with that modality alone."""
    return [
        Task(f"{modality} {name}", partial(_curves_or_text, inputs.request, name, modality), cost=30.0)
        for modality in (*PERTURBATIONS, TEXT)
        for name in models(inputs, modality)
    ]


def models(inputs: Inputs, modality: str) -> list[str]:
    """The combinations whose queries of a modality are perturbed, trained or not."""
    return [f"{CRYSTAL}+{modality}", inputs.everything]


def _curves_or_text(request: Request, name: str, modality: str) -> dict[str, Any]:
    return shortened(request, name) if modality == TEXT else curves(request, name, modality)


def curves(request: Request, name: str, modality: str) -> dict[str, Any]:
    """Recall@1 of the queries of one modality against the strength of each perturbation.

    Returns:
        By perturbation: ``pairs``, or why it could not be measured.

    Raises:
        UnavailableError: if the combination was not trained, or too few test materials hold the modality.
    """
    inputs = open_inputs(request)
    embedder, store, rows = _asked(inputs, name, modality)
    array = _ROWS[modality][1]
    values = store.dense(array, inputs.test[rows])
    low, high = store.meta[_RANGES[modality]]
    own = {"bin_width": (high - low) / values.shape[1], "seed": request.seed}
    strengths = getattr(request.settings.robustness, modality)

    def curve(perturbation: str) -> dict[str, Any]:
        queries = []
        for strength in getattr(strengths, perturbation):
            changed = perturb(values, modality, perturbation, strength=strength, **own)
            queries.append(_embed_rows(embedder, modality, changed, store))
        return {"pairs": _recalls(inputs, name, modality, rows, queries)}

    return {perturbation: answer(partial(curve, perturbation)) for perturbation in PERTURBATIONS[modality]}


def shortened(request: Request, name: str) -> dict[str, Any]:
    """Recall@1 of text queries in full, cut to the first sentence, and without numbers.

    Returns:
        ``pairs``, and by level how many texts nothing is left of; those are asked at no level.

    Raises:
        UnavailableError: as `curves`.
    """
    inputs = open_inputs(request)
    embedder, store, rows = _asked(inputs, name, TEXT)
    materials = _materials(inputs, rows)
    settings = embedder.settings.modalities[TEXT].features
    featurizer = text.Featurizer(settings, store.meta)
    featurized: dict[str, list[Any]] = {}
    for level in LEVELS:
        shorten = SHORTENED.get(level, str)
        featurized[level] = [_or_none(featurizer, each, shorten(each.values[TEXT])) for each in materials]
    left = np.array([all(featurized[level][i] is not None for level in LEVELS) for i in range(len(rows))], dtype=bool)
    queries = []
    for level in LEVELS:
        held = MemoryStore(text.specs(settings), [featurized[level][i] for i in np.flatnonzero(left)], store.meta)
        queries.append(embedder.embed_store(TEXT, held, np.arange(held.n_materials)))
    return {
        "pairs": _recalls(inputs, name, TEXT, rows[left], queries),
        "failed": {level: sum(each is None for each in featurized[level]) for level in LEVELS},
    }


def assemble(inputs: Inputs, found: Mapping[str, Any]) -> dict[str, Any]:
    """The content of robustness.json."""
    told: dict[str, Any] = {}
    for modality, perturbations in PERTURBATIONS.items():
        strengths = getattr(inputs.request.settings.robustness, modality)
        told[modality] = {
            name: {
                "unit": each.unit,
                "strengths": getattr(strengths, name),
                "models": {m: _part(found[f"{modality} {m}"], name) for m in models(inputs, modality)},
            }
            for name, each in perturbations.items()
        }
    texts = {m: found[f"{TEXT} {m}"] for m in models(inputs, TEXT)}
    return {"curves": told, "text": {"levels": LEVELS, "models": texts}}


def _part(found: Mapping[str, Any], name: str) -> Any:
    return found if "unavailable" in found else found[name]


def _asked(inputs: Inputs, name: str, modality: str) -> tuple[Embedder, Store, IntArray]:
    """The model, the store, and the rows of the test embeddings that hold the modality."""
    from safetensors.torch import load_file

    combination: Combination = inputs.require(name)
    home = inputs.request.models / name
    metas = {each: Store(inputs.request.features / each).meta for each in combination.modalities}
    embedder = Embedder(read_settings(home, combination.modalities), combination, metas, load_file(home / WEIGHTS))
    rows = np.flatnonzero(held_rows(inputs.test_embeddings(name)[modality]))
    if len(rows) < MIN_ROWS:
        raise UnavailableError(f"{len(rows)} test materials hold {modality}, expected at least {MIN_ROWS}")
    return embedder, Store(inputs.request.features / modality), rows


def _embed_rows(
    embedder: Embedder, modality: str, values: npt.NDArray[np.float32], store: Store
) -> npt.NDArray[np.float32]:
    module, array = _ROWS[modality]
    specs = module.specs(embedder.settings.modalities[modality].features)
    # What a pattern could be drawn anew from is not looked at outside of training.
    nothing = {name: np.zeros((0, *spec.row_shape)) for name, spec in specs.items() if spec.ragged}
    held = MemoryStore(specs, [{**nothing, array: row} for row in values], store.meta)
    return embedder.embed_store(modality, held, np.arange(len(values)))


def _recalls(
    inputs: Inputs, name: str, modality: str, rows: IntArray, queries: list[npt.NDArray[np.float32]]
) -> dict[str, Any]:
    """Recall@1 of some versions of the same queries against the stored keys of every other modality."""
    stored: Embeddings = inputs.test_modalities(name)
    pairs: dict[str, Any] = {}
    for key, keys in stored.items():
        if key == modality:
            continue
        pair = pair_name(modality, key)
        both = np.flatnonzero(held_rows(keys)[rows])
        if len(both) < MIN_ROWS:
            pairs[pair] = {"unavailable": f"{len(both)} test materials hold both"}
            continue
        hits = [ranks(query[both], keys[rows[both]]) <= 1 for query in queries]
        before = ranks(stored[modality][rows[both]], keys[rows[both]]) <= 1
        seed, n_resamples = inputs.request.seed, inputs.request.settings.bootstrap_resamples
        pairs[pair] = {
            "n": len(both),
            "chance_at_1": 1 / len(both),
            "stored_recall_at_1": float(before.mean()),
            "recall_at_1": [float(each.mean()) for each in hits],
            "recall_at_1_ci95": [bootstrap_interval(each, seed=seed, n_resamples=n_resamples) for each in hits],
        }
    return pairs


def _materials(inputs: Inputs, rows: IntArray) -> list[Material]:
    """Test materials with their texts."""
    records = Records(inputs.request.records)
    ids = inputs.index["material_id"][inputs.test[rows]]
    texts = dict(records.table(TEXT).select("material_id", "text").iter_rows())
    wanted = records.structures.filter(pl.col("material_id").is_in(ids.implode()))
    by_id = {row["material_id"]: row for row in wanted.iter_rows(named=True)}
    return [
        Material(each, by_id[each]["formula"], structure_of(by_id[each]), "test", {TEXT: texts[each]}) for each in ids
    ]


def _or_none(featurizer: text.Featurizer, material: Material, words: str) -> Any:
    """The features of a text, None where nothing of it is left that describes a crystal."""
    changed = Material(material.material_id, material.formula, material.structure, material.split, {TEXT: words})
    try:
        return featurizer(changed)
    except ValueError:
        return None
