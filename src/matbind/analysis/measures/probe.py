"""Linear probes: what can be read off a frozen embedding by a linear map.

A probe is trained on the training split, its penalty is chosen on the validation split, and it is measured once on the
test split, beside what the majority and a probe of the bare composition reach. Of several trainings of a model each has
a probe, and the result is their mean.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from matbind.evaluation.baseline import ridge_path, standardise
from matbind.evaluation.retrieval import present_rows
from matbind.evaluation.two_level import N_RESAMPLES, SHARE, mean_interval, resampling_weights
from matbind.materials.structure import HEAVIEST_ATOMIC_NUMBER, Structure
from matbind.materials.symmetry import Symmetry
from matbind.modalities.material import Split

FloatArray = npt.NDArray[np.floating[Any]]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Kind = Literal["class", "number"]

INVERSE_PENALTIES = (0.01, 0.1, 1.0)  # scikit-learn's C, strongest penalty first
ALPHAS = tuple(10.0**exponent for exponent in range(4, -2, -1))  # scikit-learn's alpha of Ridge, strongest first
MIN_TRAIN, MIN_TEST, MIN_VALIDATION = 20, 5, 5
MAX_ITERATIONS = 200
TOLERANCE = 1e-2  # of the gradient; a tenth of it costs four times as much and moves accuracies by about 0.01
TOP = 5
UNKNOWN = -1


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What a probe is asked for.

    Attributes:
        name: such as ``space_group``.
        kind: ``class`` for a label, ``number`` for a property.
        values: one a material; None (or NaN) where it is not known.
        unit: of a number.
    """

    name: str
    kind: Kind
    values: Sequence[Any]
    unit: str = ""

    @property
    def metric(self) -> str:
        """``accuracy``, or ``mae`` in the unit of the target."""
        return "accuracy" if self.kind == "class" else "mae"


@dataclass(frozen=True, slots=True, eq=False)
class ProbeResult:
    """What one probe reached on the test split.

    Attributes:
        metric: of the target.
        n_train: materials with embedding and label in the training split; likewise for validation and test.
        scores: hit (1 or 0) or minus the absolute error of each test material, NaN where not asked; shape (n_trainings,
            n_test), on the axis of the test split.
        reason: why the probe was not made, None if it was; what follows is then None.
        value: of the metric, mean over the trainings; likewise top_5 and r2.
        ci95: 95 % interval over the test materials and, of several trainings, over those.
        n_classes: labels in training; None for a number.
        top_5: share of test materials whose label is among the five most probable; None for numbers and few classes.
        r2: coefficient of determination; None for labels.
        majority: the metric of the most frequent training label, or of the training median.
        chance: of a uniform guess among the training labels; None for numbers.
        penalty: chosen C (labels) or alpha (numbers), of the first training.
        n_unseen: test materials whose label is not in training: they count as missed.
    """

    metric: str
    n_train: int
    n_validation: int
    n_test: int
    scores: DoubleArray
    reason: str | None = None
    value: float | None = None
    ci95: tuple[float, float] | None = None
    n_classes: int | None = None
    top_5: float | None = None
    r2: float | None = None
    majority: float | None = None
    chance: float | None = None
    penalty: float | None = None
    n_unseen: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return all but the scores, or why the probe was not made."""
        if self.reason is not None:
            return {"unavailable": self.reason}
        names = [field.name for field in fields(self) if field.name not in ("scores", "reason")]
        return {name: getattr(self, name) for name in names}


class _Rows(NamedTuple):
    train: IntArray
    validation: IntArray
    test: IntArray


def probe(
    trainings: Sequence[FloatArray],
    target: Target,
    split: Sequence[Split],
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> ProbeResult:
    """Train, choose and measure one probe for each training of an embedding.

    Labels are learned by multinomial logistic regression, numbers by ridge regression, both on standardised columns.

    Args:
        trainings: the embedding of all three splits by each training, shape (n, d); NaN rows where a material lacks the
            modality.
        target: its values, n of them.
        split: of each material.
        n_resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        The result; with a reason in place of a value where there are too few examples or only one label.

    Raises:
        ValueError: if the lengths differ.
    """
    for embedding in trainings:
        if not len(embedding) == len(target.values) == len(split):
            raise ValueError(f"{len(embedding)} embeddings, {len(target.values)} values and {len(split)} splits differ")
    known, labels = _encode(target)
    known &= present_rows(trainings[0])
    sides = np.asarray(split)
    rows = _Rows(*(np.flatnonzero(known & (sides == side)) for side in ("train", "validation", "test")))
    counts = (len(rows.train), len(rows.validation), len(rows.test))
    scores = np.full((len(trainings), len(split)), np.nan)
    reason = _refusal(target, labels, rows)
    every: list[dict[str, Any]] = []
    for embedding in () if reason else trainings:
        features = standardise(embedding.astype(np.float64), train=np.isin(np.arange(len(split)), rows.train))
        if not features.shape[1]:
            reason = f"all {len(rows.train)} train materials have the same embedding"
            break
        every.append((_probe_class if target.kind == "class" else _probe_number)(features, labels, rows))
    if reason:
        return ProbeResult(target.metric, *counts, scores[:, sides == "test"], reason=reason)
    scores[:, rows.test] = [measured.pop("scores") for measured in every]
    weights = resampling_weights(len(rows.test), n_resamples=n_resamples, seed=seed)
    limits = SHARE if target.kind == "class" else (-np.inf, 0.0)
    bounds = mean_interval(scores[:, rows.test], weights, limits=limits)
    means = {
        name: float(np.mean([measured[name] for measured in every]))
        for name in ("value", "top_5", "r2")
        if every[0].get(name) is not None
    }
    # An absolute error is kept with a minus sign.
    ci95 = (min(map(abs, bounds)), max(map(abs, bounds)))
    return ProbeResult(target.metric, *counts, scores[:, sides == "test"], ci95=ci95, **every[0] | means)


def element_fractions(structures: Sequence[Structure]) -> DoubleArray:
    """Return the composition alone, which any embedding has to beat: atomic fractions, shape (n_structures, 118)."""
    fractions = np.zeros((len(structures), HEAVIEST_ATOMIC_NUMBER))
    for row, structure in zip(fractions, structures, strict=True):
        np.add.at(row, structure.atomic_number - 1, structure.occupancy)
    return np.asarray(fractions / fractions.sum(axis=1, keepdims=True))


def symmetry_targets(symmetries: Sequence[Symmetry | None]) -> list[Target]:
    """Return crystal system and space group as labels."""
    return [
        Target(name, "class", [getattr(symmetry, name) if symmetry else None for symmetry in symmetries])
        for name in ("crystal_system", "space_group")
    ]


def property_targets(
    *, band_gap: Sequence[float | None], formation_energy_per_atom: Sequence[float | None]
) -> list[Target]:
    """Return metal or insulator, the gap of the insulators, and the formation energy, where the source knows them.

    Args:
        band_gap: eV; 0 for a metal.
        formation_energy_per_atom: eV / atom.
    """
    gap = [None if value is None or not np.isfinite(value) else value for value in band_gap]
    return [
        Target("metal", "class", [None if value is None else value <= 0 for value in gap]),
        Target("band_gap", "number", [value if value is not None and value > 0 else None for value in gap], "eV"),
        Target("formation_energy_per_atom", "number", formation_energy_per_atom, "eV/atom"),
    ]


def _encode(target: Target) -> tuple[npt.NDArray[np.bool_], npt.NDArray[Any]]:
    """Return which values are known, and the values as numbers: class numbers or the property itself."""
    if target.kind == "number":
        values = np.array([np.nan if value is None else float(value) for value in target.values])
        return np.isfinite(values), values
    known = np.array([value is not None for value in target.values], dtype=bool)
    numbers = {value: i for i, value in enumerate(sorted({value for value in target.values if value is not None}))}
    return known, np.array([UNKNOWN if value is None else numbers[value] for value in target.values], dtype=np.int64)


def _refusal(target: Target, labels: npt.NDArray[Any], rows: _Rows) -> str | None:
    for side, positions, least in (("train", rows.train, MIN_TRAIN), ("test", rows.test, MIN_TEST)):
        if len(positions) < least:
            return f"{len(positions)} {side} materials have {target.name}, expected at least {least}"
    if len(np.unique(labels[rows.train])) == 1:
        return f"all {len(rows.train)} train materials have the same value of {target.name}"
    return None


def _probe_class(features: DoubleArray, labels: IntArray, rows: _Rows) -> dict[str, Any]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    inputs = features.astype(np.float32)  # twice as fast, and far finer than a penalty that is chosen by tens
    truth = labels[rows.test]
    choose = len(rows.validation) >= MIN_VALIDATION
    # From the strongest penalty on, each fit starts where the last one ended.
    model = LogisticRegression(tol=TOLERANCE, max_iter=MAX_ITERATIONS, warm_start=True)
    probability, best_accuracy, penalty = np.empty(0), -1.0, 1.0
    for inverse in INVERSE_PENALTIES if choose else (1.0,):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is one more penalty
            warnings.filterwarnings("ignore", "The number of unique classes")  # of small samples: labels all the same
            model.set_params(C=inverse).fit(inputs[rows.train], labels[rows.train])
        accuracy = model.score(inputs[rows.validation], labels[rows.validation]) if choose else 0.0
        if accuracy > best_accuracy:
            probability, best_accuracy, penalty = model.predict_proba(inputs[rows.test]), accuracy, inverse
    classes, counts = np.unique(labels[rows.train], return_counts=True)
    likely = classes[np.argsort(-probability, axis=1, kind="stable")]
    hits = likely[:, 0] == truth
    return {
        "value": float(hits.mean()),
        "scores": hits.astype(np.float64),
        "top_5": float((likely[:, :TOP] == truth[:, None]).any(axis=1).mean()) if len(classes) > TOP else None,
        "n_classes": len(classes),
        "majority": float(np.mean(truth == classes[counts.argmax()])),
        "chance": 1 / len(classes),
        "n_unseen": int((~np.isin(truth, classes)).sum()),
        "penalty": penalty,
    }


def _probe_number(features: DoubleArray, values: DoubleArray, rows: _Rows) -> dict[str, Any]:
    choose = len(rows.validation) >= MIN_VALIDATION
    alphas = ALPHAS if choose else (1.0,)
    path = ridge_path(features[rows.train], values[rows.train, None], alphas=alphas)
    predicted = [(features @ weights + intercept)[:, 0] for weights, intercept in path]
    errors = (
        [np.abs(guess[rows.validation] - values[rows.validation]).mean() for guess in predicted] if choose else [0.0]
    )
    best = int(np.argmin(errors))
    truth = values[rows.test]
    error = np.abs(predicted[best][rows.test] - truth)
    spread = ((truth - truth.mean()) ** 2).sum()
    return {
        "value": float(error.mean()),
        "scores": -error,
        "r2": float(1 - (error**2).sum() / spread) if spread > 0 else None,
        "majority": float(np.abs(truth - np.median(values[rows.train])).mean()),
        "penalty": alphas[best],
    }
