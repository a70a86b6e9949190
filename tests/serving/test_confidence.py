from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from matbind.serving.confidence import Asked, Confidence, ask, calibrate, evidence_of
from matbind.serving.gallery import Keys


def unit(rng: np.random.Generator, n: int, d: int = 32) -> np.ndarray:
    values = rng.normal(size=(n, d)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def gallery(n: int = 300) -> Keys:
    return Keys(np.arange(n), unit(np.random.default_rng(0), n))


def noisy(keys: Keys, noise: np.ndarray) -> np.ndarray:
    values = keys.vectors + noise[:, None] * np.random.default_rng(1).normal(size=keys.vectors.shape)
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def asked(noise: float) -> Asked:
    keys = gallery()
    # Some queries are clean and some are nothing but noise.
    noise_per_query = np.where(np.arange(300) % 2 == 0, noise, 5.0)
    return ask(noisy(keys, noise_per_query), keys.rows, keys)


def test_evidence_is_the_best_similarity_and_its_share_of_the_softmax() -> None:
    similarity = np.array([[0.5, 0.5, -np.inf], [0.9, 0.4, 0.9 - np.log(3) / 30]])

    evidence = evidence_of(similarity)

    np.testing.assert_allclose(evidence[:, 0], [0.5, 0.9])
    np.testing.assert_allclose(evidence[:, 1], [0.5, 1 / (1 + 1 / 3)], atol=1e-6)


def test_each_query_is_asked_with_and_without_its_material() -> None:
    keys = gallery(40)

    answers = ask(keys.vectors[5:15], np.arange(5, 15), keys)

    assert answers.right.tolist() == [True] * 10 + [False] * 10
    np.testing.assert_allclose(answers.evidence[:10, 0], 1.0, atol=1e-6)
    others = keys.vectors[5] @ np.delete(keys.vectors, 5, axis=0).T
    assert answers.evidence[10, 0] == pytest.approx(others.max(), abs=1e-6)


def test_materials_that_the_gallery_does_not_hold_are_left_out() -> None:
    keys = Keys(np.array([2, 4]), unit(np.random.default_rng(0), 2))

    answers = ask(keys.vectors[[1, 1]], np.array([3, 4]), keys)

    assert answers.right.tolist() == [True, False]


def test_the_threshold_keeps_the_precision_and_finds_the_clean_queries() -> None:
    queries = asked(0.02)

    confidence = calibrate(queries, queries)

    assert confidence.threshold is not None
    assert confidence.validation["precision"] >= 0.9
    assert confidence.validation["coverage"] > 0.4  # half of the queries are clean


def test_a_model_that_knows_nothing_is_never_sure() -> None:
    queries = asked(5.0)

    confidence = calibrate(queries, queries)

    assert confidence.threshold is None
    assert not confidence.is_confident(0.999)
    assert confidence.test == {"n": 0, "precision": 0.0, "coverage": 0.0}


def test_probabilities_are_those_of_the_answers() -> None:
    queries = asked(0.1)
    probability = calibrate(queries, queries).probability(queries.evidence)

    assert probability.mean() == pytest.approx(queries.right.mean(), abs=0.01)
    assert probability[queries.right].mean() > probability[~queries.right].mean() + 0.3


def test_the_test_split_has_no_part_in_the_threshold() -> None:
    first, second = calibrate(asked(0.02), asked(0.02)), calibrate(asked(0.02), asked(5.0))

    assert first.threshold == second.threshold
    assert second.test["coverage"] < first.test["coverage"]


def test_without_queries_there_is_no_threshold() -> None:
    nothing = ask(np.zeros((0, 32), np.float32), np.zeros(0, np.int64), gallery())

    assert calibrate(nothing, nothing).threshold is None


def test_it_is_the_same_after_json() -> None:
    confidence = calibrate(asked(0.02), asked(0.02))

    assert Confidence(**json.loads(json.dumps(asdict(confidence)))) == confidence
