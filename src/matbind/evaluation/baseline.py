"""A linear baseline on hand-made features, measured on the same test split with the same metrics as the models.

Every crystal is described by its composition and its reduced lattice. Ridge regressions predict that description from
the text (TF-IDF), the powder pattern and the density of states, and all of them meet in it: pairs with the crystal are
learned, the others emerge, as with a crystal hub. What a network does not find beyond this, it need not be trained for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from matbind.evaluation.retrieval import MIN_ROWS, BoolArray, mean_reciprocal_rank, ranks_both
from matbind.materials.structure import HEAVIEST_ATOMIC_NUMBER, Structure
from matbind.modalities.combinations import Combination
from matbind.modalities.material import Split

FloatArray = npt.NDArray[np.float64]

BASELINE = Combination(("crystal", "dos", "pxrd", "text"), hub="crystal")
ALPHAS = tuple(10.0**exponent for exponent in range(-2, 5))
DEFAULT_ALPHA = 1.0  # where validation holds too few materials to choose
PATTERN_BINS = 850  # 0.1 degree in a window of 85
MAX_WORDS = 6000  # bounds the normal equations, whatever the size of the corpus
MIN_TEXTS_OF_WORD = 3
ROWS_AT_ONCE = 8192
CONSTANT = 1e-9  # a standard deviation below it on the training split: the feature says nothing

# "TiO6" stays a word and gives Ti and O6 besides; "2.31", "Fm-3m" and "corner-sharing" are words.
_WORD = re.compile(r"\d+\.\d+|[A-Za-z0-9][\w/+-]*")
_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d*){2,}")
_ELEMENT = re.compile(r"[A-Z][a-z]?\d*")


class Baseline(NamedTuple):
    """What `matbind.evaluation.retrieval.evaluate_pairs` takes, for the test split.

    Attributes:
        embeddings: of each modality, shape (n_test, n_features), standardised on the training split.
        present: whether each test material holds the modality, shape (n_test,).
        combination: all four modalities, the crystal as hub.
    """

    embeddings: dict[str, FloatArray]
    present: dict[str, BoolArray]
    combination: Combination


def baseline_embeddings(
    *,
    structures: Sequence[Structure],
    texts: Sequence[str | None],
    pxrd: Sequence[npt.NDArray[Any] | None],
    dos: Sequence[npt.NDArray[Any] | None],
    split: Sequence[Split],
) -> Baseline:
    """Describe every test material's crystal, and predict that description from each other modality.

    The regressions see the training split only; their penalty is the one with the best mean reciprocal rank, both ways,
    on the validation split.

    Args:
        structures: one a material.
        texts: None where a material has none; likewise below.
        pxrd: intensities on the data set's 2-theta grid, shape (n_points,) each; NaN where nothing was measured.
        dos: states / eV / atom on the data set's energy grid, shape (n_bins,) each; NaN where not calculated.
        split: train, validation or test.

    Raises:
        ValueError: if the sequences differ in length, or fewer than two materials are for training.
    """
    lengths = {len(given) for given in (structures, texts, pxrd, dos, split)}
    if len(lengths) > 1:
        raise ValueError(f"structures, texts, pxrd, dos and split have different lengths: {sorted(lengths)}")
    train, validation, test = (np.array([name == part for name in split]) for part in ("train", "validation", "test"))
    if train.sum() < MIN_ROWS:
        raise ValueError(f"the baseline needs at least {MIN_ROWS} training materials, found {train.sum()}")
    targets = standardise(composition_lattice_features(structures), train=train)
    present = {"crystal": np.ones(len(structures), dtype=bool)}
    embeddings = {"crystal": targets[test]}
    for name, given in (("dos", dos), ("pxrd", pxrd), ("text", texts)):
        holds = np.array([value is not None for value in given])
        if (holds & train).sum() < MIN_ROWS:  # nothing to learn from: the modality has no baseline
            present[name], embeddings[name] = np.zeros_like(holds), np.zeros_like(targets[test])
            continue
        rows = np.flatnonzero(holds)
        held = [value for value in given if value is not None]
        inputs = text_features(held, train=train[rows]) if name == "text" else grid_features(held)
        predicted = np.zeros_like(targets)
        predicted[rows] = _predict(inputs, targets[rows], train=train[rows], validation=validation[rows])
        present[name], embeddings[name] = holds, predicted[test]
    return Baseline(embeddings, {name: holds[test] for name, holds in present.items()}, BASELINE)


def composition_lattice_features(structures: Sequence[Structure]) -> FloatArray:
    """Describe crystals by what they are made of and the shape of their cell.

    Returns:
        Shape (n_structures, 118 + 9): square roots of the atomic fractions, so that a minor element counts; the
        logarithms of the volume per atom (cubic angstrom), of the density (dalton per cubic angstrom), of the number of
        sites and of the Niggli-reduced lengths, ascending (angstrom); the reduced angles, ascending (degree).
    """
    import spglib
    from pymatgen.core.periodic_table import Element

    mass_dalton = np.array([float(Element.from_Z(z).atomic_mass) for z in range(1, HEAVIEST_ATOMIC_NUMBER + 1)])
    features = np.empty((len(structures), HEAVIEST_ATOMIC_NUMBER + 9))
    for row, structure in zip(features, structures, strict=True):
        amounts = np.bincount(
            structure.atomic_number - 1, weights=structure.occupancy, minlength=HEAVIEST_ATOMIC_NUMBER
        )
        reduced = spglib.niggli_reduce(structure.lattice)
        lattice = structure.lattice if reduced is None else np.asarray(reduced)
        lengths = np.linalg.norm(lattice, axis=1)
        cosines = (lattice @ lattice.T / np.outer(lengths, lengths))[[0, 0, 1], [1, 2, 2]]
        volume = structure.volume_angstrom3
        row[:-9] = np.sqrt(amounts / amounts.sum())
        row[-9:-3] = np.log(
            [volume / amounts.sum(), amounts @ mass_dalton / volume, structure.n_sites, *sorted(lengths)]
        )
        row[-3:] = np.sort(np.degrees(np.arccos(np.clip(cosines, -1, 1))))
    return features


def standardise(features: FloatArray, *, train: BoolArray) -> FloatArray:
    """Give every feature mean 0 and standard deviation 1 on the training split; constant ones are left out.

    Args:
        features: shape (n, n_features).
        train: which rows are for training, shape (n,).
    """
    mean, spread = features[train].mean(axis=0), features[train].std(axis=0)
    kept = spread > CONSTANT
    scaled: FloatArray = (features[:, kept] - mean[kept]) / spread[kept]
    return scaled


def words(text: str) -> list[str]:
    """Split a description into words; a formula is a word and each of its elements with its count another.

    >>> words("TiO6 octahedra, 2.31 Å")
    ['TiO6', 'Ti', 'O6', 'octahedra', '2.31']
    """
    found: list[str] = []
    for word in _WORD.findall(text):
        found.append(word)
        if _FORMULA.fullmatch(word):
            found += _ELEMENT.findall(word)
    return found


def text_features(texts: Sequence[Any], *, train: BoolArray) -> Any:
    """TF-IDF of the words of the training texts, a sparse matrix of shape (n_texts, n_words)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    corpus = [text for text, learn in zip(texts, train, strict=True) if learn]
    rarest = min(MIN_TEXTS_OF_WORD, len(corpus))
    weights = TfidfVectorizer(analyzer=words, min_df=rarest, max_features=MAX_WORDS, sublinear_tf=True)
    weights.fit(corpus)
    return weights.transform(texts)


def grid_features(curves: Sequence[Any]) -> FloatArray:
    """Curves on a common grid in at most 850 bins: square roots of the means, so that weak peaks count.

    Args:
        curves: shape (n_points,) each; values that are negative or not finite count as 0.

    Returns:
        Shape (n_curves, n_bins).
    """
    n_points = len(curves[0])
    edges = np.linspace(0, n_points, min(PATTERN_BINS, n_points) + 1).astype(np.int64)
    features = np.empty((len(curves), len(edges) - 1))
    for row, curve in zip(features, curves, strict=True):
        clean = np.maximum(np.nan_to_num(np.asarray(curve, dtype=np.float64), posinf=0.0), 0.0)
        row[:] = np.sqrt(np.add.reduceat(clean, edges[:-1]) / np.diff(edges))
    return features


def ridge_path(
    inputs: Any, targets: FloatArray, *, alphas: Sequence[float] = ALPHAS
) -> list[tuple[FloatArray, FloatArray]]:
    """Ridge regressions of several penalties from one pass over the rows.

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
    """Targets of every row, by the regression that finds the validation materials best."""
    choose = validation.sum() >= MIN_ROWS
    path = ridge_path(inputs[train], targets[train], alphas=ALPHAS if choose else (DEFAULT_ALPHA,))
    scores = []
    for weights, intercept in path if choose else ():
        both = ranks_both(inputs[validation] @ weights + intercept, targets[validation])
        scores.append(np.mean([mean_reciprocal_rank(found) for found in both]))
    weights, intercept = path[int(np.argmax(scores)) if choose else 0]
    return np.asarray(inputs @ weights + intercept)
