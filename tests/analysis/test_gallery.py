from __future__ import annotations

import itertools

import numpy as np
import pytest

from matbind.analysis import gallery
from matbind.analysis.gallery import distractors_ahead, hit_chances
from matbind.evaluation.retrieval import ranks, recall_at_k
from tests.analysis.world import inputs_of, noisy, write_models
from tests.factories import needs_sample


def noisy_pair(n: int = 60, d: int = 5, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(n, d))
    return a, a + noise * rng.normal(size=(n, d))


def test_the_full_gallery_gives_the_recall_itself():
    rank = ranks(*noisy_pair())
    assert hit_chances(rank, gallery_size=60).mean() == pytest.approx(recall_at_k(rank, k=1), abs=1e-12)


def test_one_query_by_hand():
    # Ranks 1 and 3 of 3 keys; in galleries of 2, the second query meets one of its two better keys always.
    assert hit_chances(np.array([1, 2, 3]), gallery_size=2).mean() == pytest.approx((1 + 1 / 2 + 0) / 3)


def test_every_gallery_of_a_size_counted():
    query, key = noisy_pair(7, 3)
    better = (query / np.linalg.norm(query, axis=1)[:, None]) @ (key / np.linalg.norm(key, axis=1)[:, None]).T
    hits = []
    for row in range(7):
        others = [other for other in range(7) if other != row]
        hits += [max(better[row, list(drawn)]) < better[row, row] for drawn in itertools.combinations(others, 3)]
    assert hit_chances(ranks(query, key), gallery_size=4).mean() == pytest.approx(np.mean(hits), abs=1e-12)


def test_sampled_galleries_agree():
    query, key = noisy_pair(60)
    rng = np.random.default_rng(0)
    sampled = []
    for _ in range(2000):
        rows = rng.choice(60, 10, replace=False)
        sampled.append(recall_at_k(ranks(query[rows], key[rows]), k=1))
    error = 4 * np.std(sampled) / np.sqrt(len(sampled))
    assert hit_chances(ranks(query, key), gallery_size=10).mean() == pytest.approx(np.mean(sampled), abs=error)


@pytest.mark.parametrize("size", [1, 2, 10, 100])
def test_a_random_model_stays_at_chance_in_every_size(size):
    every_rank_once = np.arange(1, 101)
    assert hit_chances(every_rank_once, gallery_size=size).mean() == pytest.approx(1 / size, abs=1e-12)


def test_keys_of_other_materials_push_the_true_one_back_by_hand():
    query = np.array([[1.0, 0.0], [0.0, 1.0]])
    key = np.array([[1.0, 1.0], [0.0, 1.0]])
    others = np.array([[2.0, 0.0], [3.0, 3.0], [-1.0, 0.0]])  # nearer, as near (a tie counts), opposite
    np.testing.assert_array_equal(distractors_ahead(query, key, others), [2, 0])
    np.testing.assert_array_equal(distractors_ahead(query, key, others[:0]), [0, 0])


def test_distractors_do_not_depend_on_the_chunks(monkeypatch):
    query, key = noisy_pair()
    expected = distractors_ahead(query, key, noisy_pair()[1][::-1] + 1)
    monkeypatch.setattr(gallery, "CHUNK_SIZE", 7)
    np.testing.assert_array_equal(distractors_ahead(query, key, noisy_pair()[1][::-1] + 1), expected)


def test_ranks_with_other_keys_are_those_of_one_large_gallery():
    rng = np.random.default_rng(0)
    query, key, others = rng.normal(size=(20, 4)), rng.normal(size=(20, 4)), rng.normal(size=(30, 4))
    together = ranks(np.vstack([query, rng.normal(size=(30, 4))]), np.vstack([key, others]))[:20]
    np.testing.assert_array_equal(ranks(query, key) + distractors_ahead(query, key, others), together)


@needs_sample
def test_the_curve_ends_at_the_recall_that_was_evaluated(inputs):
    result = gallery.by_size(inputs.request, "crystal+text")["crystal->text"]
    evaluated = inputs.runs["crystal+text"]["pairs"]["crystal->text"]
    assert result["size"][-1] == result["n"] == evaluated["n"]
    assert result["recall_at_1"][-1] == pytest.approx(evaluated["recall_at_1"])
    assert result["recall_at_1"] == sorted(result["recall_at_1"], reverse=True)
    assert result["chance_at_1"][-1] == pytest.approx(evaluated["chance_at_1"])


@needs_sample
def test_all_materials_make_a_larger_gallery(inputs):
    result = gallery.by_size(inputs.request, "crystal+text")["text->crystal"]
    assert result["with_other_splits"]["size"] == len(inputs.index)
    assert result["with_other_splits"]["recall_at_1"] <= result["recall_at_1"][-1]


@needs_sample
def test_a_perfect_model_finds_its_key_in_any_gallery(tmp_path):
    write_models(tmp_path, make=noisy(0.0), only=["crystal+dos"])
    result = gallery.by_size(inputs_of(tmp_path).request, "crystal+dos")["dos->crystal"]
    assert set(result["recall_at_1"]) == {1.0}
    assert result["with_other_splits"]["recall_at_1"] == 1.0


@needs_sample
def test_a_single_is_asked_by_its_views(inputs):
    results = gallery.by_size(inputs.request, "pxrd")
    assert list(results) == ["pxrd->pxrd"]
    assert results["pxrd->pxrd"]["kind"] == "view"
    assert "with_other_splits" not in results["pxrd->pxrd"]
