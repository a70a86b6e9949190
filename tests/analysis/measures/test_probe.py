from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from matbind.analysis.measures.probe import Target, element_fractions, probe, property_targets, symmetry_targets
from matbind.materials.symmetry import find_symmetry
from tests.factories import copper, mixed, rocksalt

N = 240
SPLIT = ["train"] * 120 + ["validation"] * 60 + ["test"] * 60


def cloud(d: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N, d)) * np.arange(1, d + 1) + 3.0


def labels(values: np.ndarray) -> list[str]:
    """Seven labels of equal slices along one direction."""
    position = values[:, 0] + values[:, 1]
    return [f"label {i}" for i in np.searchsorted(np.quantile(position, np.arange(1, 7) / 7), position)]


def test_a_label_that_is_linear_is_read():
    values = cloud()
    result = probe([values], Target("sign", "class", (values[:, 2] > values[:, 3]).tolist()), SPLIT)
    assert result.value is not None
    assert result.value > 0.93
    assert (result.metric, result.n_train, result.n_validation, result.n_test, result.n_classes) == (
        "accuracy",
        120,
        60,
        60,
        2,
    )
    assert result.chance == 0.5
    assert result.ci95 is not None
    assert result.ci95[0] <= result.value <= result.ci95[1]
    assert result.top_5 is None  # of two labels all are among five


def test_a_label_that_is_not_there_is_read_no_better_than_by_chance():
    target = Target("coin", "class", np.random.default_rng(1).integers(0, 2, N).tolist())
    result = probe([cloud()], target, SPLIT)
    assert result.value == pytest.approx(0.5, abs=0.2)


def test_the_majority_is_that_of_the_training_split():
    values = ["a"] * 70 + ["b"] * 50 + ["a"] * 60 + ["b"] * 45 + ["a"] * 15
    assert probe([cloud()], Target("letter", "class", values), SPLIT).majority == 0.25


def test_the_five_most_probable_labels():
    values = cloud()
    result = probe([values], Target("slice", "class", labels(values)), SPLIT)
    assert result.value is not None
    assert result.top_5 is not None
    assert result.value < result.top_5 <= 1


def test_a_label_unseen_in_training_counts_as_missed():
    values = cloud()
    names = ["a" if x > 3 else "b" for x in values[:, 0]]
    names[180:190] = ["c"] * 10
    result = probe([values], Target("letter", "class", names), SPLIT)
    assert result.n_unseen == 10
    np.testing.assert_array_equal(result.scores[0, :10], 0.0)


def test_ridge_is_scikit_learns_with_the_penalty_chosen_on_validation():
    values = cloud()
    truth = values @ [1.0, -2.0, 0.0, 0.5, 0.0] + np.random.default_rng(2).normal(size=N)
    result = probe([values], Target("energy", "number", truth.tolist(), "eV"), SPLIT)
    scaled = StandardScaler().fit(values[:120]).transform(values)
    errors = {}
    for alpha in (1e4, 1e3, 1e2, 1e1, 1.0, 0.1):
        predicted = Ridge(alpha=alpha).fit(scaled[:120], truth[:120]).predict(scaled)
        errors[alpha] = np.abs(predicted[120:180] - truth[120:180]).mean(), np.abs(predicted[180:] - truth[180:]).mean()
    best = min(errors, key=lambda alpha: errors[alpha][0])
    assert result.penalty == best
    assert result.value == pytest.approx(errors[best][1], rel=1e-9)
    assert result.majority == pytest.approx(np.abs(truth[180:] - np.median(truth[:120])).mean())
    assert result.r2 is not None
    assert 0.6 < result.r2 < 1
    assert result.ci95 is not None
    assert result.ci95[0] < result.value < result.ci95[1]


def test_scores_lie_on_the_axis_of_the_test_split():
    values = cloud()
    truth = values[:, 0].copy()
    truth[200] = np.nan
    values[210] = np.nan
    result = probe([values], Target("energy", "number", truth.tolist()), SPLIT)
    assert result.scores.shape == (1, 60)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(result.scores[0])), [20, 30])
    assert result.n_test == 58
    assert result.value == pytest.approx(-np.nanmean(result.scores))


def test_the_test_split_is_not_learned_from():
    values = cloud()
    target = Target("energy", "number", values[:, 0].tolist())
    spoiled = values.copy()
    spoiled[180:200] = 1e6
    result, other = probe([values], target, SPLIT), probe([spoiled], target, SPLIT)
    np.testing.assert_allclose(result.scores[:, 20:], other.scores[:, 20:])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([True] * N, "all 120 train materials have the same value of metal"),
        ([None] * 101 + [True, False] * 69 + [None], "19 train materials have metal, expected at least 20"),
        ([True, False] * 90 + [None] * 56 + [True] * 4, "4 test materials have metal, expected at least 5"),
        ([None] * N, "0 train materials have metal, expected at least 20"),
    ],
)
def test_what_cannot_be_probed_says_why(values, reason):
    result = probe([cloud()], Target("metal", "class", values), SPLIT)
    assert (result.reason, result.value, result.ci95) == (reason, None, None)


def test_without_validation_a_usual_penalty_is_taken():
    values = cloud()
    known = values[:, 0].copy()
    known[120:180] = np.nan
    result = probe([values], Target("energy", "number", known.tolist()), SPLIT)
    assert (result.n_validation, result.penalty) == (0, 1.0)
    sign = [None if np.isnan(value) else bool(value > 3) for value in known]
    assert probe([values], Target("sign", "class", sign), SPLIT).penalty == 1.0


def test_an_embedding_of_one_point_says_so():
    result = probe([np.ones((N, 4))], Target("letter", "class", ["a", "a", "b"] * 80), SPLIT)
    assert (result.reason, result.value) == ("all 120 train materials have the same embedding", None)


def test_results_are_json_and_repeat():
    values = cloud()
    target = Target("slice", "class", labels(values))
    first, second = (json.dumps(probe([values], target, SPLIT, seed=4).as_dict()) for _ in range(2))
    assert first == second
    assert not {"scores", "reason"} & set(json.loads(first))


def test_a_probe_that_was_not_made_is_its_reason_in_json():
    made = probe([np.ones((N, 4))], Target("letter", "class", ["a", "a", "b"] * 80), SPLIT)
    assert made.as_dict() == {"unavailable": "all 120 train materials have the same embedding"}


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="240 embeddings, 2 values and 240 splits differ"):
        probe([cloud()], Target("x", "number", [1.0, 2.0]), SPLIT)


def test_composition_of_ordered_and_mixed_crystals():
    fractions = element_fractions([rocksalt(), mixed()])
    assert fractions.shape == (2, 118)
    assert (fractions[0, 10], fractions[0, 16]) == (0.5, 0.5)
    # Sr 0.3, Ba 0.6, Ti 1 and O 3 of 4.9 atoms.
    np.testing.assert_allclose(fractions[1, [37, 55, 21, 7]], np.array([0.3, 0.6, 1, 3]) / 4.9)
    np.testing.assert_allclose(fractions.sum(axis=1), 1)


def test_symmetry_as_labels():
    system, group = symmetry_targets([find_symmetry(copper()), None])
    assert (system.name, system.values) == ("crystal_system", ["cubic", None])
    assert (group.name, group.values) == ("space_group", [225, None])


def test_properties_where_they_are_known():
    metal, gap, energy = property_targets(
        band_gap=[0.0, 1.5, None, np.nan], formation_energy_per_atom=[-1.0, None, 0, 2]
    )
    assert metal.values == [True, False, None, None]
    assert gap.values == [None, 1.5, None, None]
    assert energy.values == [-1.0, None, 0, 2]
    assert (gap.unit, energy.unit) == ("eV", "eV/atom")
