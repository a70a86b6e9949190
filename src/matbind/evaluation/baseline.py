"""A linear baseline on hand-made descriptors, measured on the same test split with the same metrics as the models.

Every structure is described by its own hand-made features. Ridge regressions predict that description from the
descriptors of every other modality, and all of them meet in it: pairs with the structure are learned, the others
emerge, as with a hub. What a network does not reach beyond this, it need not be trained for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from matbind.evaluation.retrieval import MIN_ROWS, BoolArray, mean_reciprocal_rank, ranks_both
from matbind.modalities.combinations import Combination
from matbind.modalities.material import Split
from matbind.modalities.protocol import BaselinePart
from matbind.modalities.table import modality_names, part, structure_name

FloatArray = npt.NDArray[np.float64]

ALPHAS = tuple(10.0**exponent for exponent in range(-2, 5))
DEFAULT_ALPHA = 1.0  # where validation holds too few materials to choose
ROWS_AT_ONCE = 8192
CONSTANT = 1e-9  # a standard deviation below it on the training split: the feature says nothing


class Baseline(NamedTuple):
    """What `matbind.evaluation.retrieval.evaluate_pairs` takes, for the test split.

    Attributes:
        embeddings: of each modality, shape (n_test, n_features), standardised on the training split.
        present: whether the baseline describes the modality of each test material, shape (n_test,).
        combination: all modalities, the structure as hub.
    """

    embeddings: dict[str, FloatArray]
    present: dict[str, BoolArray]
    combination: Combination


def baseline_parts() -> dict[str, BaselinePart]:
    """Return the part `baseline.py` of every modality that has one."""
    return {name: module for name in modality_names() if (module := part(name, "baseline"))}


def baseline_embeddings(descriptions: Mapping[str, Sequence[Any]], split: Sequence[Split]) -> Baseline:
    """Describe the structure of every test material, and predict that description from every other modality.

    The regressions see the training split only; their penalty is the one with the best mean reciprocal rank, both ways,
    on the validation split.

    Args:
        descriptions: by modality, one a material as `description` of its part returns it, None where there is none. A
            modality that is not there, or has too few training materials to learn from, is present in no material.
        split: train, validation or test.

    Raises:
        ValueError: if the sequences differ in length, or fewer than two materials are for training.
    """
    lengths = {len(values) for values in (*descriptions.values(), split)}
    if len(lengths) > 1:
        raise ValueError(f"descriptions and split have different lengths: {sorted(lengths)}")
    train, validation, test = (np.array([name == side for name in split]) for side in ("train", "validation", "test"))
    if train.sum() < MIN_ROWS:
        raise ValueError(f"the baseline needs at least {MIN_ROWS} training materials, found {train.sum()}")
    parts, structure = baseline_parts(), structure_name()
    targets = standardise(parts[structure].inputs(descriptions[structure], train=train), train=train)
    present = {name: np.zeros(len(split), dtype=bool) for name in modality_names()} | {structure: np.ones_like(train)}
    embeddings = {name: np.zeros_like(targets[test]) for name in modality_names()} | {structure: targets[test]}
    for name in descriptions:
        described = np.array([value is not None for value in descriptions[name]])
        if name == structure or (described & train).sum() < MIN_ROWS:
            continue
        rows = np.flatnonzero(described)
        inputs = parts[name].inputs([value for value in descriptions[name] if value is not None], train=train[rows])
        predicted = np.zeros_like(targets)
        predicted[rows] = _predict(inputs, targets[rows], train=train[rows], validation=validation[rows])
        present[name], embeddings[name] = described, predicted[test]
    combination = Combination(modality_names(), hub=structure)
    return Baseline(embeddings, {name: rows[test] for name, rows in present.items()}, combination)


def standardise(features: FloatArray, *, train: BoolArray) -> FloatArray:
    """Give every feature mean 0 and standard deviation 1 on the training split, and leave out constant ones.

    Args:
        features: shape (n, n_features).
        train: which rows are for training, shape (n,).
    """
    mean, spread = features[train].mean(axis=0), features[train].std(axis=0)
    kept = spread > CONSTANT
    scaled: FloatArray = (features[:, kept] - mean[kept]) / spread[kept]
    return scaled


def ridge_path(
    inputs: Any, targets: FloatArray, *, alphas: Sequence[float] = ALPHAS
) -> list[tuple[FloatArray, FloatArray]]:
    """Fit ridge regressions of several penalties from one pass over the rows.

    Args:
        inputs: dense or sparse, shape (n, n_inputs).
        targets: shape (n, n_targets).
        alphas: penalties of the squared weights, as scikit-learn's Ridge counts them.

    Returns:
        For each penalty the weights, shape (n_inputs, n_targets), and the intercepts, shape (n_targets,).

    Source: Hoerl and Kennard 1970; normal equations of the centred data, so that a sparse input stays sparse.
    """
    from scipy.linalg import solve

    n_inputs = inputs.shape[1]
    gram, moment = np.zeros((n_inputs, n_inputs)), np.zeros((n_inputs, targets.shape[1]))
    for start in range(0, len(targets), ROWS_AT_ONCE):
        block = inputs[start : start + ROWS_AT_ONCE]
        product = block.T @ block
        gram += product if isinstance(product, np.ndarray) else product.toarray()
        moment += block.T @ targets[start : start + ROWS_AT_ONCE]
    mean_input, mean_target = np.asarray(inputs.mean(axis=0)).ravel(), targets.mean(axis=0)
    gram -= len(targets) * np.outer(mean_input, mean_input)
    moment -= len(targets) * np.outer(mean_input, mean_target)
    path = []
    for alpha in alphas:
        weights = solve(gram + alpha * np.eye(n_inputs), moment, assume_a="pos")
        path.append((weights, mean_target - mean_input @ weights))
    return path


def _predict(inputs: Any, targets: FloatArray, *, train: BoolArray, validation: BoolArray) -> FloatArray:
    """Predict the targets of every row by the regression that retrieves the validation materials best."""
    choose = validation.sum() >= MIN_ROWS
    path = ridge_path(inputs[train], targets[train], alphas=ALPHAS if choose else (DEFAULT_ALPHA,))
    scores = []
    for weights, intercept in path if choose else ():
        both = ranks_both(inputs[validation] @ weights + intercept, targets[validation])
        scores.append(np.mean([mean_reciprocal_rank(ranks) for ranks in both]))
    weights, intercept = path[int(np.argmax(scores)) if choose else 0]
    return np.asarray(inputs @ weights + intercept)
