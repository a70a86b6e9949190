from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from matbind.serving.confidence import (
    BINS,
    Asked,
    Confidence,
    ask,
    calibrate,
    error_by_chance,
    evidence_of,
    is_match,
    reliability_of,
)

N_ELEMENTS = 12


def unit(rng: np.random.Generator, n: int, d: int = 32) -> np.ndarray:
    values = rng.normal(size=(n, d)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def gallery(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return unit(rng, n), np.argsort(rng.random((n, N_ELEMENTS)), axis=1) < 3


def asked(noise: float, *, seed: int = 1) -> Asked:
    """Answers to queries of which every second is clean and the others are nothing but noise."""
    keys, elements = gallery()
    noises = np.where(np.arange(300) % 2 == 0, noise, 5.0)[:, None]
    queries = keys + noises * np.random.default_rng(seed).normal(size=keys.shape)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    return ask(queries.astype(np.float32), np.arange(300), keys, elements, seed=seed)


def test_evidence_is_the_best_similarity_its_share_of_the_softmax_its_lead_and_the_number_of_keys() -> None:
    similarity = np.array([[0.5, 0.5, -np.inf], [0.9, 0.4, 0.9 - np.log(3) / 30]])

    evidence = evidence_of(similarity)

    np.testing.assert_allclose(evidence[:, 0], [0.5, 0.9])
    np.testing.assert_allclose(evidence[:, 1], [0, np.log(3)], atol=1e-5)
    np.testing.assert_allclose(np.exp(evidence[:, 2]) - 1e-3, [0, np.log(3) / 30], atol=1e-9)
    np.testing.assert_allclose(np.exp(evidence[:, 3]), [2, 3])


@pytest.mark.parametrize("similarity", [np.array([[0.3]]), np.array([[-np.inf, 0.3, -np.inf]])])
def test_an_only_key_leads_by_all_there_is(similarity: np.ndarray) -> None:
    evidence = evidence_of(similarity)

    assert np.exp(evidence[0, 2]) == pytest.approx(2.001)
    assert np.isfinite(evidence).all()


def test_each_query_is_asked_with_and_without_its_material() -> None:
    keys, elements = gallery(40)

    answers = ask(keys[5:15], np.arange(5, 15), keys, np.ones_like(elements))

    assert answers.right.tolist() == [True] * 10 + [False] * 10
    np.testing.assert_allclose(answers.evidence[:10, 0], 1.0, atol=1e-6)
    others = keys[5] @ np.delete(keys, 5, axis=0).T
    assert answers.evidence[10, 0] == pytest.approx(others.max(), abs=1e-6)


def test_filters_leave_some_of_the_keys_out_and_never_the_material() -> None:
    keys, elements = gallery()

    answers = ask(keys, np.arange(len(keys)), keys, elements)

    n_keys = np.exp(answers.evidence[: len(keys), 3]).round()
    assert answers.right[: len(keys)].all()
    assert {len(keys)} < set(n_keys.astype(int).tolist())
    assert np.mean(n_keys == len(keys)) == pytest.approx(1 / 3, abs=0.1)


def test_a_filter_that_leaves_nothing_is_no_answer() -> None:
    keys, _ = gallery(12)

    answers = ask(keys, np.arange(12), keys, np.eye(12, N_ELEMENTS, dtype=bool))

    assert np.isfinite(answers.evidence).all()
    assert 12 < len(answers.right) < 24  # without its material, a query that names its element has no answer


def test_probabilities_are_those_of_a_logistic_regression() -> None:
    queries = asked(0.2)

    ours = calibrate(queries, queries).probability(queries.evidence)

    scaled = (queries.evidence - queries.evidence.mean(axis=0)) / queries.evidence.std(axis=0)
    theirs = (
        LogisticRegression(C=1 / (1e-5 * len(scaled)), tol=1e-8, max_iter=1000)
        .fit(scaled, queries.right)
        .predict_proba(scaled)[:, 1]
    )
    np.testing.assert_allclose(ours, np.clip(theirs, 0.001, 0.999), atol=2e-3)


def test_probabilities_can_be_believed_on_queries_of_another_draw() -> None:
    confidence = calibrate(asked(0.15), asked(0.15, seed=2))

    assert confidence.expected_calibration_error < 0.05
    assert confidence.accepted["precision"] >= 0.9
    assert confidence.accepted["coverage"] > 0.3  # half of the queries are clean


def test_reliability_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(2000)
    right = rng.random(2000) < probability**2

    bins, error = reliability_of(probability, right)

    edges = np.array(BINS)
    for low, high, one in zip(edges[:-1], edges[1:], bins, strict=True):
        inside = (probability >= low) & (probability < high)
        shares, claims = calibration_curve(right[inside], probability[inside], n_bins=1)
        assert (one["n"], one["right"], one["claimed"]) == pytest.approx((inside.sum(), shares[0], claims[0]))
    assert error == pytest.approx(sum(one["n"] * abs(one["right"] - one["claimed"]) for one in bins) / 2000)


def test_a_model_that_knows_nothing_is_never_sure() -> None:
    confidence = calibrate(asked(5.0), asked(5.0, seed=2))

    assert confidence.accepted == {"n": 0, "precision": 0.0, "coverage": 0.0}
    assert confidence.probability(asked(5.0, seed=3).evidence).max() < 0.9


@pytest.mark.parametrize("right", [True, False])
def test_where_all_answers_are_alike_the_probability_is_a_constant(*, right: bool) -> None:
    answers = Asked(np.random.default_rng(0).random((50, 4)), np.full(50, right))

    confidence = calibrate(answers, answers)

    assert confidence.probability(answers.evidence) == pytest.approx(0.999 if right else 0.001)
    assert is_match(float(confidence.probability(answers.evidence)[0])) == right


def test_evidence_that_all_but_decides_is_claimed_as_such() -> None:
    rng = np.random.default_rng(0)
    lead = rng.normal(size=4000)
    evidence = np.column_stack([lead, np.zeros((4000, 3))])
    answers = Asked(evidence, rng.random(4000) < 1 / (1 + np.exp(-60 * lead)))

    confidence = calibrate(answers, answers)

    assert confidence.expected_calibration_error < 0.01
    assert confidence.probability(np.array([[0.2, 0, 0, 0]]))[0] > 0.99


def test_the_error_by_chance_is_that_of_probabilities_that_are_exactly_right() -> None:
    rng = np.random.default_rng(1)
    probability = rng.random(400)
    errors = [reliability_of(probability, rng.random(400) < probability)[1] for _ in range(500)]

    by_chance = error_by_chance(probability)

    assert by_chance["mean"] == pytest.approx(np.mean(errors), rel=0.1)
    assert by_chance["below95"] == pytest.approx(np.quantile(errors, 0.95), rel=0.15)


def test_the_error_by_chance_falls_with_the_number_of_queries() -> None:
    few, many = (error_by_chance(np.linspace(0.01, 0.99, n))["mean"] for n in (50, 5000))

    assert many < few / 5


def test_it_is_written_as_json() -> None:
    confidence = calibrate(asked(0.1), asked(0.1, seed=2))

    assert Confidence(**json.loads(json.dumps(asdict(confidence)))) == confidence
