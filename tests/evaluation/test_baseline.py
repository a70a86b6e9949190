from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from matbind.evaluation.baseline import ALPHAS, DEFAULT_ALPHA, baseline_embeddings, ridge_path, standardise
from matbind.evaluation.retrieval import evaluate_pairs
from matbind.materials.structure import Structure
from matbind.modalities.crystal import baseline as crystal
from matbind.modalities.dos.baseline import inputs as curve_inputs

SYMBOLS = {3: "Li", 8: "O", 9: "F", 11: "Na", 12: "Mg", 17: "Cl", 19: "K", 20: "Ca", 35: "Br", 37: "Rb"}


def rocksalt(cation: int, anion: int, a: float) -> Structure:
    lattice = np.array([[0, a / 2, a / 2], [a / 2, 0, a / 2], [a / 2, a / 2, 0]])
    return Structure.ordered(lattice, [[0, 0, 0], [0.5, 0.5, 0.5]], [cation, anion])


def described(structure: Structure) -> np.ndarray:
    return crystal.description(structure, structure)


def toy_materials(n: int = 90) -> tuple[dict[str, list], list]:
    """Rock salts whose text names the formula and whose curves have a peak where the lattice constant says."""
    rng = np.random.default_rng(0)
    pairs = rng.choice(list(SYMBOLS), size=(n, 2))
    edges = rng.uniform(4, 8, size=n)
    grid = np.linspace(4, 8, 40)
    curves = [np.exp(-(((grid - a) / 0.2) ** 2)) for a in edges]
    descriptions = {
        "crystal": [described(rocksalt(int(c), int(x), a)) for (c, x), a in zip(pairs, edges, strict=True)],
        "dos": list(curves),
        "pxrd": list(curves),
        "text": [
            f"{SYMBOLS[c]}{SYMBOLS[x]} is Halite. Bond lengths are {a / 2:.1f} Å"
            for (c, x), a in zip(pairs, edges, strict=True)
        ],
    }
    return descriptions, ["train"] * 60 + ["validation"] * 10 + ["test"] * (n - 70)


def test_standardise_equals_scikit_learn_on_the_training_split():
    features = np.random.default_rng(0).normal(3, 5, size=(30, 4))
    train = np.arange(30) < 20
    expected = StandardScaler().fit(features[train]).transform(features)
    np.testing.assert_allclose(standardise(features, train=train), expected)


def test_feature_without_variation_in_training_is_left_out():
    features = np.column_stack([np.arange(6.0), np.ones(6)])
    features[5, 1] = 7
    assert standardise(features, train=np.arange(6) < 5).shape == (6, 1)


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
    baseline = baseline_embeddings(*toy_materials())
    results = evaluate_pairs(*baseline)
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
    descriptions, split = toy_materials()
    whole = baseline_embeddings(descriptions, split)
    cut = baseline_embeddings({name: values[:72] for name, values in descriptions.items()}, split[:72])
    for name, values in cut.embeddings.items():
        np.testing.assert_allclose(values, whole.embeddings[name][:2], atol=1e-9)


def test_the_order_of_the_modalities_does_not_matter():
    descriptions, split = toy_materials()
    expected = baseline_embeddings(descriptions, split)
    other = baseline_embeddings(dict(reversed(descriptions.items())), split)
    for name, values in expected.embeddings.items():
        np.testing.assert_array_equal(other.embeddings[name], values)
        np.testing.assert_array_equal(other.present[name], expected.present[name])


def test_absent_measurement_is_absent_and_does_not_move_the_rest():
    descriptions, split = toy_materials()
    expected = baseline_embeddings(descriptions, split).embeddings["text"]
    descriptions["text"][75] = None
    baseline = baseline_embeddings(descriptions, split)
    assert np.flatnonzero(~baseline.present["text"]).tolist() == [5]
    np.testing.assert_allclose(np.delete(baseline.embeddings["text"], 5, axis=0), np.delete(expected, 5, axis=0))


def test_modality_without_training_material_has_no_baseline():
    descriptions, split = toy_materials()
    descriptions["dos"][:60] = [None] * 60
    baseline = baseline_embeddings(descriptions, split)
    assert not baseline.present["dos"].any()
    assert "dos->crystal" not in evaluate_pairs(*baseline)


def test_modality_that_is_not_described_has_no_baseline():
    descriptions, split = toy_materials()
    del descriptions["text"]
    baseline = baseline_embeddings(descriptions, split)
    assert not baseline.present["text"].any()
    assert len(evaluate_pairs(*baseline)) == 6


def test_penalty_without_validation_materials_is_the_default():
    descriptions, _ = toy_materials()
    train = np.arange(90) < 70
    targets = standardise(np.stack(descriptions["crystal"]), train=train)
    inputs = curve_inputs(descriptions["dos"], train=train)
    expected = Ridge(alpha=DEFAULT_ALPHA).fit(inputs[train], targets[train]).predict(inputs[70:])
    embeddings = baseline_embeddings(descriptions, ["train"] * 70 + ["test"] * 20).embeddings
    np.testing.assert_allclose(embeddings["dos"], expected, atol=1e-8)


def test_penalty_is_the_one_that_finds_the_validation_materials():
    descriptions, split = toy_materials()
    train = np.arange(90) < 60
    # A pattern that tells nothing: the weakest penalty fits noise, and validation has to choose among them all.
    rng = np.random.default_rng(1)
    descriptions["pxrd"] = [rng.random(40) for _ in range(90)]
    targets = standardise(np.stack(descriptions["crystal"]), train=train)
    inputs = curve_inputs(descriptions["pxrd"], train=train)
    candidates = [Ridge(alpha=alpha).fit(inputs[train], targets[train]).predict(inputs) for alpha in ALPHAS]

    def score(predicted: np.ndarray) -> float:
        from matbind.evaluation.retrieval import mean_reciprocal_rank, ranks_both

        return sum(mean_reciprocal_rank(ranks) for ranks in ranks_both(predicted[60:70], targets[60:70]))

    best = max(candidates, key=score)
    np.testing.assert_allclose(baseline_embeddings(descriptions, split).embeddings["pxrd"], best[70:], atol=1e-8)


def test_lists_of_different_lengths_are_refused():
    descriptions, split = toy_materials()
    descriptions["text"].pop()
    with pytest.raises(ValueError, match=r"have different lengths: \[89, 90\]"):
        baseline_embeddings(descriptions, split)


def test_nothing_to_train_on_is_refused():
    descriptions, _ = toy_materials()
    with pytest.raises(ValueError, match="at least 2 training materials, found 0"):
        baseline_embeddings(descriptions, ["test"] * 90)
