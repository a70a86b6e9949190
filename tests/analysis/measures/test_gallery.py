from __future__ import annotations

import itertools

import numpy as np
import pytest

from matbind.analysis.measures.gallery import (
    distractors_ahead,
    expected_recall,
    label_chance,
    label_numbers,
    label_ranks,
    recall_by_gallery_size,
)
from matbind.evaluation.retrieval import ranks, recall_at_k


def noisy_pair(n: int = 60, d: int = 5, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(n, d))
    return a, a + noise * rng.normal(size=(n, d))


@pytest.mark.parametrize("k", [1, 5])
def test_the_full_gallery_gives_the_recall_itself(k):
    found = ranks(*noisy_pair())
    assert expected_recall(found, k=k, gallery_size=60) == pytest.approx(recall_at_k(found, k=k), abs=1e-12)


def test_one_query_by_hand():
    # Ranks 1 and 3 of 3 keys; in galleries of 2, the second query meets one of its two better keys always.
    assert expected_recall(np.array([1, 2, 3]), k=1, gallery_size=2) == pytest.approx((1 + 1 / 2 + 0) / 3)


@pytest.mark.parametrize("k", [1, 2])
def test_every_gallery_of_a_size_counted(k):
    query, key = noisy_pair(7, 3)
    better = (query / np.linalg.norm(query, axis=1)[:, None]) @ (key / np.linalg.norm(key, axis=1)[:, None]).T
    hits = []
    for row in range(7):
        others = [other for other in range(7) if other != row]
        hits += [sum(better[row, list(each)] >= better[row, row]) < k for each in itertools.combinations(others, 3)]
    assert expected_recall(ranks(query, key), k=k, gallery_size=4) == pytest.approx(np.mean(hits), abs=1e-12)


def test_sampled_galleries_agree():
    query, key = noisy_pair(60)
    rng = np.random.default_rng(0)
    sampled = []
    for _ in range(2000):
        rows = rng.choice(60, 10, replace=False)
        sampled.append(recall_at_k(ranks(query[rows], key[rows]), k=1))
    error = 4 * np.std(sampled) / np.sqrt(len(sampled))
    assert expected_recall(ranks(query, key), k=1, gallery_size=10) == pytest.approx(np.mean(sampled), abs=error)


def test_the_curve_falls_from_small_galleries_to_the_full_one():
    found = ranks(*noisy_pair())
    curve = recall_by_gallery_size(found, k=1)
    assert list(curve) == [2, 4, 8, 16, 32, 60]
    assert list(curve.values()) == sorted(curve.values(), reverse=True)


def test_a_random_model_stays_at_chance_in_every_size():
    found = np.arange(1, 101)  # every rank once
    for size, recall in recall_by_gallery_size(found, k=1, sizes=[1, 2, 10, 100]).items():
        assert recall == pytest.approx(1 / size, abs=1e-12)


@pytest.mark.parametrize(("k", "size", "message"), [(0, 2, "k=0"), (1, 0, "gallery_size=0"), (1, 4, "the 3 keys")])
def test_refusals(k, size, message):
    with pytest.raises(ValueError, match=message):
        expected_recall(np.array([1, 2, 3]), k=k, gallery_size=size)


def test_keys_of_other_materials_push_the_true_one_back_by_hand():
    query = np.array([[1.0, 0.0], [0.0, 1.0]])
    key = np.array([[1.0, 1.0], [0.0, 1.0]])
    others = np.array([[2.0, 0.0], [3.0, 3.0], [-1.0, 0.0]])  # nearer, as near (a tie counts), opposite
    np.testing.assert_array_equal(distractors_ahead(query, key, others), [2, 0])
    np.testing.assert_array_equal(distractors_ahead(query, key, others, chunk_size=1), [2, 0])
    np.testing.assert_array_equal(distractors_ahead(query, key, others[:0]), [0, 0])


def test_ranks_with_other_keys_are_those_of_one_large_gallery():
    rng = np.random.default_rng(0)
    query, key, others = rng.normal(size=(20, 4)), rng.normal(size=(20, 4)), rng.normal(size=(30, 4))
    together = ranks(np.vstack([query, rng.normal(size=(30, 4))]), np.vstack([key, others]))[:20]
    np.testing.assert_array_equal(ranks(query, key) + distractors_ahead(query, key, others), together)


def test_queries_and_keys_of_other_materials_are_refused():
    with pytest.raises(ValueError, match="differ"):
        distractors_ahead(np.ones((2, 3)), np.ones((3, 3)), np.ones((1, 3)))


def test_label_numbers_keep_unknown_labels_apart():
    np.testing.assert_array_equal(label_numbers(["NaCl", None, "NaCl", None]), [0, 1, 0, 2])


def test_distinct_labels_give_the_ranks_of_the_materials():
    query, key = noisy_pair()
    np.testing.assert_array_equal(label_ranks(query, key, list(range(60))), ranks(query, key))


def test_a_key_of_the_same_label_counts_as_found():
    query = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.2]])
    key = np.array([[0.0, 1.0], [1.0, 0.1], [-1.0, 0.1]])  # the first two are exchanged
    np.testing.assert_array_equal(ranks(query, key), [2, 3, 1])
    np.testing.assert_array_equal(label_ranks(query, key, ["a", "a", "b"]), [1, 1, 1])


def test_a_tie_with_another_label_counts_against_the_query():
    same = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(label_ranks(same, same, ["a", "a", "b"]), [2, 2, 3])


def test_label_ranks_do_not_depend_on_the_chunks():
    query, key = noisy_pair()
    labels = [i // 3 for i in range(60)]
    np.testing.assert_array_equal(label_ranks(query, key, labels, chunk_size=7), label_ranks(query, key, labels))


def test_labels_of_another_length_are_refused():
    with pytest.raises(ValueError, match="2 labels differ"):
        label_ranks(np.eye(3), np.eye(3), ["a", "b"])


def test_chance_by_label_by_hand():
    # k = 1: two of three keys for the "a" queries, one of three for "b". k = 2: "a" always, "b" in two of three.
    assert label_chance(["a", "a", "b"], k=1) == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)
    assert label_chance(["a", "a", "b"], k=2) == pytest.approx((1 + 1 + 2 / 3) / 3)
    assert label_chance(["a", "a", "b"], k=9) == 1
