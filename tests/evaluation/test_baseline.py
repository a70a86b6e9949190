from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from matbind.evaluation.baseline import (
    ALPHAS,
    DEFAULT_ALPHA,
    baseline_embeddings,
    composition_lattice_features,
    grid_features,
    ridge_path,
    standardise,
    text_features,
    words,
)
from matbind.evaluation.retrieval import evaluate_pairs
from matbind.materials.structure import Structure

SYMBOLS = {3: "Li", 8: "O", 9: "F", 11: "Na", 12: "Mg", 17: "Cl", 19: "K", 20: "Ca", 35: "Br", 37: "Rb"}


def rocksalt(cation: int, anion: int, a: float) -> Structure:
    lattice = np.array([[0, a / 2, a / 2], [a / 2, 0, a / 2], [a / 2, a / 2, 0]])
    return Structure.ordered(lattice, [[0, 0, 0], [0.5, 0.5, 0.5]], [cation, anion])


def toy_materials(n: int = 90) -> dict[str, list]:
    """Rock salts whose text names the formula and whose curves have a peak where the lattice constant says."""
    rng = np.random.default_rng(0)
    pairs = rng.choice(list(SYMBOLS), size=(n, 2))
    edges = rng.uniform(4, 8, size=n)
    grid = np.linspace(4, 8, 40)
    curves = [np.exp(-(((grid - a) / 0.2) ** 2)) for a in edges]
    return {
        "structures": [rocksalt(int(c), int(x), a) for (c, x), a in zip(pairs, edges, strict=True)],
        "texts": [
            f"{SYMBOLS[c]}{SYMBOLS[x]} is Halite. Bond lengths are {a / 2:.1f} Å"
            for (c, x), a in zip(pairs, edges, strict=True)
        ],
        "pxrd": list(curves),
        "dos": list(curves),
        "split": ["train"] * 60 + ["validation"] * 10 + ["test"] * (n - 70),
    }


def test_features_of_rock_salt_worked_by_hand():
    a = 5.64
    (features,) = composition_lattice_features([rocksalt(11, 17, a)])
    np.testing.assert_allclose(features[[10, 16]], np.sqrt([0.5, 0.5]))
    assert np.count_nonzero(features[:-9]) == 2
    volume = a**3 / 4
    edge = a / np.sqrt(2)
    expected = [volume / 2, (22.98976928 + 35.453) / volume, 2, edge, edge, edge]
    np.testing.assert_allclose(np.exp(features[-9:-3]), expected, rtol=1e-6)
    np.testing.assert_allclose(features[-3:], [60, 60, 60], atol=1e-6)


def test_features_do_not_depend_on_the_choice_of_cell():
    cell = np.array([[4.0, 0, 0], [0.3, 5.0, 0], [0.4, 0.7, 6.5]])
    sheared = np.array([[1, 0, 0], [2, 1, 0], [-1, 3, 1]]) @ cell
    one, other = composition_lattice_features([Structure.ordered(c, [[0, 0, 0]], [26]) for c in (cell, sheared)])
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_reduced_cell_equals_pymatgen():
    from pymatgen.core.lattice import Lattice

    cell = np.array([[4.0, 0, 0], [3.1, 5.0, 0], [2.4, 1.7, 6.5]])
    (features,) = composition_lattice_features([Structure.ordered(cell, [[0, 0, 0]], [26])])
    reduced = Lattice(cell).get_niggli_reduced_lattice()
    np.testing.assert_allclose(np.exp(features[-6:-3]), sorted(reduced.abc), rtol=1e-5)
    np.testing.assert_allclose(features[-3:], sorted(reduced.angles), rtol=1e-5)


def test_mixed_site_counts_by_occupancy():
    mixed = Structure(np.eye(3) * 4, np.zeros((1, 3)), np.array([0, 0]), np.array([12, 20]), np.array([0.36, 0.64]))
    (features,) = composition_lattice_features([mixed])
    np.testing.assert_allclose(features[[11, 19]], [0.6, 0.8])


def test_standardise_equals_scikit_learn_on_the_training_split():
    features = np.random.default_rng(0).normal(3, 5, size=(30, 4))
    train = np.arange(30) < 20
    expected = StandardScaler().fit(features[train]).transform(features)
    np.testing.assert_allclose(standardise(features, train=train), expected)


def test_feature_without_variation_in_training_is_left_out():
    features = np.column_stack([np.arange(6.0), np.ones(6)])
    features[5, 1] = 7
    assert standardise(features, train=np.arange(6) < 5).shape == (6, 1)


def test_words_keep_formulas_numbers_and_hyphens():
    assert words("BaTiO3 has corner-sharing TiO6 octahedra (2.31 Å), Fm-3m.") == [
        "BaTiO3",
        "Ba",
        "Ti",
        "O3",
        "has",
        "corner-sharing",
        "TiO6",
        "Ti",
        "O6",
        "octahedra",
        "2.31",
        "Fm-3m",
    ]


def test_words_of_the_test_split_stay_unknown():
    texts = ["red blue", "red green", "red blue", "violet red"]
    train = np.array([True, True, True, False])
    assert text_features(texts, train=train).shape == (4, 1)  # "red" alone is in three training texts


def test_curves_are_binned_by_their_means():
    curve = np.repeat([4.0, 0.0, 9.0], 850)
    curve[:3] = [1.0, 4.0, 7.0]
    features = grid_features([curve])
    assert features.shape == (1, 850)
    assert features[0, [0, 1, 400, 849]].tolist() == [2.0, 2.0, 0.0, 3.0]


def test_short_curves_keep_their_points_and_lose_what_was_not_measured():
    assert grid_features([np.array([4.0, np.nan, -1.0, np.inf])]).tolist() == [[2.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize("container", [np.asarray, csr_matrix], ids=["dense", "sparse"])
def test_ridge_equals_scikit_learn(container):
    rng = np.random.default_rng(0)
    inputs = rng.normal(2, 1, size=(50, 7)) * (rng.random((50, 7)) < 0.5)
    targets = inputs @ rng.normal(size=(7, 3)) + rng.normal(size=(50, 3)) + 5
    path = ridge_path(container(inputs), targets, alphas=(0.1, 10.0))
    for alpha, (weights, intercept) in zip((0.1, 10.0), path, strict=True):
        expected = Ridge(alpha=alpha).fit(inputs, targets)
        np.testing.assert_allclose(weights, expected.coef_.T, atol=1e-9)
        np.testing.assert_allclose(intercept, expected.intercept_, atol=1e-9)


def test_ridge_does_not_depend_on_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(50, 7)), rng.normal(size=(50, 2))
    whole = ridge_path(inputs, targets, alphas=(1.0,))
    monkeypatch.setattr("matbind.evaluation.baseline.ROWS_AT_ONCE", 8)
    np.testing.assert_allclose(ridge_path(inputs, targets, alphas=(1.0,))[0][0], whole[0][0], atol=1e-12)


def test_baseline_finds_what_is_linear():
    found = baseline_embeddings(**toy_materials())
    results = evaluate_pairs(found.embeddings, found.present, found.combination)
    assert len(results) == 12
    assert {name for name, result in results.items() if result.kind == "emergent"} == {
        "dos->pxrd",
        "dos->text",
        "pxrd->dos",
        "pxrd->text",
        "text->dos",
        "text->pxrd",
    }
    assert results["text->crystal"].recall_at_1 > 0.8
    assert results["pxrd->crystal"].recall_at_5 > 2 * results["pxrd->crystal"].chance_at_5


def test_baseline_of_one_test_material_does_not_depend_on_the_others():
    materials = toy_materials()
    whole = baseline_embeddings(**materials)
    cut = baseline_embeddings(**{name: values[:72] for name, values in materials.items()})
    for name, values in cut.embeddings.items():
        np.testing.assert_allclose(values, whole.embeddings[name][:2], atol=1e-9)


def test_absent_measurement_is_absent_and_does_not_move_the_rest():
    materials = toy_materials()
    materials["texts"][75] = None
    found = baseline_embeddings(**materials)
    assert np.flatnonzero(~found.present["text"]).tolist() == [5]
    expected = baseline_embeddings(**toy_materials()).embeddings["text"]
    np.testing.assert_allclose(np.delete(found.embeddings["text"], 5, axis=0), np.delete(expected, 5, axis=0))


def test_modality_without_training_material_has_no_baseline():
    materials = toy_materials()
    materials["dos"][:60] = [None] * 60
    found = baseline_embeddings(**materials)
    assert not found.present["dos"].any()
    assert "dos->crystal" not in evaluate_pairs(found.embeddings, found.present, found.combination)


def test_penalty_without_validation_materials_is_the_default():
    materials = toy_materials()
    materials["split"] = ["train"] * 70 + ["test"] * 20
    train = np.arange(90) < 70
    targets = standardise(composition_lattice_features(materials["structures"]), train=train)
    expected = Ridge(alpha=DEFAULT_ALPHA).fit(grid_features(materials["dos"])[train], targets[train])
    found = baseline_embeddings(**materials).embeddings["dos"]
    np.testing.assert_allclose(found, expected.predict(grid_features(materials["dos"])[70:]), atol=1e-8)


def test_penalty_is_the_one_that_finds_the_validation_materials():
    materials = toy_materials()
    train = np.arange(90) < 60
    # A pattern that tells nothing: the weakest penalty fits noise, and validation has to choose among them all.
    rng = np.random.default_rng(1)
    materials["pxrd"] = [rng.random(40) for _ in range(90)]
    targets = standardise(composition_lattice_features(materials["structures"]), train=train)
    inputs = grid_features(materials["pxrd"])
    candidates = [Ridge(alpha=alpha).fit(inputs[train], targets[train]).predict(inputs) for alpha in ALPHAS]

    def score(predicted: np.ndarray) -> float:
        from matbind.evaluation.retrieval import mean_reciprocal_rank, ranks_both

        return sum(mean_reciprocal_rank(found) for found in ranks_both(predicted[60:70], targets[60:70]))

    best = max(candidates, key=score)
    np.testing.assert_allclose(baseline_embeddings(**materials).embeddings["pxrd"], best[70:], atol=1e-8)


def test_lists_of_different_lengths_are_refused():
    materials = toy_materials()
    materials["texts"].pop()
    with pytest.raises(ValueError, match=r"have different lengths: \[89, 90\]"):
        baseline_embeddings(**materials)


def test_nothing_to_train_on_is_refused():
    materials = toy_materials()
    materials["split"] = ["test"] * 90
    with pytest.raises(ValueError, match="at least 2 training materials, found 0"):
        baseline_embeddings(**materials)
