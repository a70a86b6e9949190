from __future__ import annotations

import json
import re

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from matbind.evaluation.retrieval import (
    RetrievalResult,
    evaluate_pairs,
    mean_reciprocal_rank,
    present_rows,
    rank_fused,
    rank_pairs,
    ranks,
    ranks_both,
    recall_at_k,
    summarise,
    summarise_all,
    unit_rows,
    unmeasured,
)
from matbind.modalities.combinations import parse_combination

THREE = parse_combination("crystal+dos+text")


def directions(*angles_deg: float) -> np.ndarray:
    """Vectors in the plane; their cosine is that of the difference of angles. Lengths differ on purpose."""
    angles = np.deg2rad(angles_deg)
    return np.column_stack([np.cos(angles), np.sin(angles)]) * np.arange(1, len(angles) + 1)[:, None]


def full_matrix_ranks(query: np.ndarray, key: np.ndarray) -> np.ndarray:
    """The definition, written with the whole matrix."""
    similarity = (query / np.linalg.norm(query, axis=1, keepdims=True)) @ (
        key / np.linalg.norm(key, axis=1, keepdims=True)
    ).T
    at_least = similarity >= np.diagonal(similarity)[:, None] - 1e-12
    np.fill_diagonal(at_least, False)
    return 1 + at_least.sum(axis=1)


def noisy_pair(n: int = 157, d: int = 6, noise: float = 0.7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, d))
    return a, a + noise * rng.normal(size=(n, d))


def three_modalities(n: int = 60) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(5)
    base = rng.normal(size=(n, 8))
    embeddings = {name: (base + 0.6 * rng.normal(size=base.shape)).astype(np.float32) for name in THREE.modalities}
    return embeddings, {name: np.ones(n, dtype=bool) for name in embeddings}


def test_ranks_of_three_directions_worked_by_hand():
    # Query 0 deg: keys at 10, 20, 5 -> the true one (10) is second. Query 25: 15, 5, 20 away -> 5 is first.
    # Query 90: 80, 70, 85 away -> 85 is third. The other way: key 10 has queries 10, 15, 80 away -> first;
    # key 20 has 20, 5, 70 away -> first; key 5 has 5, 20, 85 away -> third.
    forward, backward = ranks_both(directions(0, 25, 90), directions(10, 20, 5))
    assert forward.tolist() == [2, 1, 3]
    assert backward.tolist() == [1, 1, 3]


def test_metrics_of_four_ranks_worked_by_hand():
    key_ranks = np.array([1, 2, 4, 8])
    assert [recall_at_k(key_ranks, k=k) for k in (1, 2, 5, 10)] == [0.25, 0.5, 0.75, 1.0]
    assert mean_reciprocal_rank(key_ranks) == (1 + 0.5 + 0.25 + 0.125) / 4
    assert summarise(key_ranks, kind="view").median_rank == 3.0


def test_present_rows_are_the_finite_ones():
    values = np.array([[1.0, 2.0], [np.nan, 1.0], [np.inf, 1.0]])
    np.testing.assert_array_equal(present_rows(values), [True, False, False])


def test_unit_rows_leave_zero_alone():
    np.testing.assert_array_equal(unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0.0, 0.0]])


@pytest.mark.parametrize("chunk_size", [1, 7, 64, 1000])
def test_ranks_equal_the_full_matrix_with_ties(chunk_size):
    rng = np.random.default_rng(1)
    query, key = rng.integers(-2, 3, size=(2, 157, 3)).astype(float)
    query[:, 0], key[:, 0] = 1.0, 1.0  # no zero vector; 25 directions for 157 rows: most similarities are tied
    forward, backward = ranks_both(query, key, chunk_size=chunk_size)
    np.testing.assert_array_equal(forward, full_matrix_ranks(query, key))
    np.testing.assert_array_equal(backward, full_matrix_ranks(key, query))


def test_chunk_size_does_not_change_ranks_of_single_precision_duplicates():
    a, b = (side.astype(np.float32) for side in noisy_pair(d=96))
    a[80:], b[80:] = a[:77], b[:77]
    results = {chunk_size: ranks_both(a, b, chunk_size=chunk_size) for chunk_size in (3, 50, 157)}
    for forward, backward in results.values():
        np.testing.assert_array_equal(forward, results[157][0])
        np.testing.assert_array_equal(backward, results[157][1])
    assert min(results[157][0][:77].min(), results[157][0][80:].min()) == 2


def test_ranks_is_the_first_direction():
    a, b = noisy_pair()
    np.testing.assert_array_equal(ranks(b, a), ranks_both(a, b)[1])


def test_length_of_an_embedding_does_not_matter():
    a, b = noisy_pair()
    np.testing.assert_array_equal(ranks(a * np.linspace(0.01, 100, len(a))[:, None], b), ranks(a, b))


def test_duplicate_of_the_true_key_counts_against_us():
    key = directions(0, 0, 60)
    assert ranks(directions(0, 0, 60), key).tolist() == [2, 2, 1]


def test_collapsed_embeddings_rank_last():
    assert ranks(np.ones((5, 3)), np.ones((5, 3))).tolist() == [5, 5, 5, 5, 5]


def test_zero_vector_knows_nothing():
    assert ranks(np.zeros((3, 2)), directions(0, 10, 20)).tolist() == [3, 3, 3]


@pytest.mark.parametrize("k", [1, 5, 10])
def test_recall_equals_scikit_learn_without_ties(k):
    query, key = noisy_pair()
    scores = (query / np.linalg.norm(query, axis=1, keepdims=True)) @ (key / np.linalg.norm(key, axis=1)[:, None]).T
    expected = top_k_accuracy_score(np.arange(len(key)), scores, k=k)
    assert recall_at_k(ranks(query, key), k=k) == pytest.approx(expected, abs=1e-12)


def test_unrelated_sides_find_chance():
    rng = np.random.default_rng(3)
    n = 2000
    key_ranks = ranks(rng.normal(size=(n, 16)), rng.normal(size=(n, 16)))
    # Recall@10 counts about 10 hits, Poisson: beyond 25 happens once in 30,000.
    assert 0 < recall_at_k(key_ranks, k=10) * n < 25
    assert np.median(key_ranks) == pytest.approx(n / 2, rel=0.1)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones((3, 2)), np.ones((4, 2)), "found (3, 2) and (4, 2)"),
        (np.ones(3), np.ones(3), "same shape (n, d), found (3,)"),
        (np.ones((1, 2)), np.ones((1, 2)), "at least 2 materials, found 1"),
        (
            np.ones((3, 2)),
            np.array([[1, 1], [1, np.nan], [np.inf, 1]]),
            "the second side: 2 of 3 embeddings are not finite",
        ),
    ],
)
def test_unusable_sides_are_refused(a, b, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ranks_both(a, b)


def test_chunks_of_nothing_are_refused():
    with pytest.raises(ValueError, match="chunk_size=0 has to be at least 1"):
        ranks_both(*noisy_pair(), chunk_size=0)


@pytest.mark.parametrize("metric", [lambda r: recall_at_k(r, k=1), mean_reciprocal_rank])
def test_no_query_is_refused(metric):
    with pytest.raises(ValueError, match="no query to average over"):
        metric(np.array([], dtype=np.int64))


def test_result_is_written_as_the_metrics_files_say():
    result = summarise(np.array([1, 1, 1, 1]), kind="aligned").as_dict()
    assert json.loads(json.dumps(result)) == {
        "kind": "aligned",
        "n": 4,
        "recall_at_1": 1.0,
        "recall_at_5": 1.0,
        "recall_at_10": 1.0,
        "median_rank": 1.0,
        "mrr": 1.0,
        "chance_at_1": 0.25,
        "chance_at_5": 1.0,
        "chance_at_10": 1.0,
        "recall_at_1_ci95": [1.0, 1.0],
        "recall_at_5_ci95": [1.0, 1.0],
        "n_seeds": 1,
        "recall_at_1_sd": None,
        "recall_at_5_sd": None,
    }


def test_pairs_of_a_combination_equal_each_pair_alone():
    embeddings, present = three_modalities()
    results = evaluate_pairs(embeddings, present, THREE, seed=2)
    assert list(results) == [
        "crystal->dos",
        "crystal->text",
        "dos->crystal",
        "dos->text",
        "text->crystal",
        "text->dos",
    ]
    for query, key in THREE.pairs():
        alone = summarise(ranks(embeddings[query], embeddings[key]), kind=THREE.kind(query, key), seed=2)
        assert results[f"{query}->{key}"] == alone


def test_gallery_is_the_materials_that_hold_both():
    embeddings, present = three_modalities()
    present["dos"][:20] = False
    present["text"][15:30] = False
    embeddings["dos"][:20] = np.nan  # what an absent row holds is nobody's business
    sizes = {name: result.n for name, result in evaluate_pairs(embeddings, present, THREE).items()}
    assert (sizes["crystal->dos"], sizes["text->crystal"], sizes["dos->text"]) == (40, 45, 30)


def test_pair_with_one_material_is_left_out_with_a_reason():
    embeddings, present = three_modalities()
    present["dos"][1:] = False
    assert list(evaluate_pairs(embeddings, present, THREE)) == ["crystal->text", "text->crystal"]
    assert list(fused_queries(embeddings, present, THREE)) == []
    reasons = unmeasured(present, THREE)
    assert reasons["dos->text"] == "needs 2 test materials that hold all of it, found 1"
    assert len(reasons) == 4 + 3


def test_nothing_is_unmeasured_where_everything_is_present():
    assert unmeasured(three_modalities()[1], THREE) == {}


def test_shuffled_control_falls_to_chance():
    embeddings, present = three_modalities(400)
    assert min(result.recall_at_1 for result in evaluate_pairs(embeddings, present, THREE).values()) > 0.15
    control = evaluate_pairs(embeddings, present, THREE, shuffled=True)
    assert list(control) == list(evaluate_pairs(embeddings, present, THREE))
    assert max(result.recall_at_1 for result in control.values()) < 0.02
    assert all(0.4 < result.median_rank / result.n < 0.6 for result in control.values())


def test_fused_query_is_the_mean_of_unit_vectors():
    # Queries at 0 and 40 deg of different lengths have their mean at 20 deg, where the true key is.
    embeddings = {
        "crystal": directions(0, 100) * 5,
        "dos": directions(40, 140),
        "text": directions(20, 35),
    }
    present = {name: np.ones(2, dtype=bool) for name in embeddings}
    results = fused_queries(embeddings, present, THREE)
    assert list(results) == ["crystal+dos->text", "crystal+text->dos", "dos+text->crystal"]
    assert results["crystal+dos->text"].recall_at_1 == 1.0


def test_fusing_two_noisy_queries_finds_more_than_either():
    embeddings, present = three_modalities(400)
    fused = fused_queries(embeddings, present, THREE)["dos+text->crystal"]
    alone = evaluate_pairs(embeddings, present, THREE)
    assert fused.recall_at_1 > max(alone["dos->crystal"].recall_at_1, alone["text->crystal"].recall_at_1) + 0.05


def test_fused_queries_of_four_modalities_and_their_kinds():
    combination = parse_combination("crystal+dos+pxrd+text")
    rng = np.random.default_rng(0)
    embeddings = {name: rng.normal(size=(9, 4)) for name in combination.modalities}
    results = fused_queries(embeddings, {name: np.ones(9, dtype=bool) for name in embeddings}, combination)
    assert len(results) == 4 * (3 + 1)
    emergent = [name for name, result in results.items() if result.kind == "emergent"]
    assert emergent == ["dos+pxrd->text", "dos+text->pxrd", "pxrd+text->dos"]


def test_two_modalities_have_nothing_to_fuse():
    embeddings, present = three_modalities()
    assert fused_queries(embeddings, present, parse_combination("crystal+dos")) == {}


def test_fused_gallery_holds_everything():
    embeddings, present = three_modalities()
    present["dos"][:20] = False
    present["text"][15:30] = False
    assert {result.n for result in fused_queries(embeddings, present, THREE).values()} == {30}


def fused_queries(*answers) -> dict[str, RetrievalResult]:
    return summarise_all([rank_fused(*answers)])


def test_two_trainings_have_the_mean_of_both_to_the_last_digit():
    present = three_modalities()[1]
    trainings = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        embeddings = three_modalities()[0]
        trainings.append({name: v + 0.3 * (1 + seed) * rng.normal(size=v.shape) for name, v in embeddings.items()})
    first, second = (evaluate_pairs(embeddings, present, THREE) for embeddings in trainings)
    both = summarise_all([rank_pairs(embeddings, present, THREE) for embeddings in trainings])
    assert any(first[pair].recall_at_1 != second[pair].recall_at_1 for pair in both)
    for pair, result in both.items():
        one, two = first[pair], second[pair]
        for figure in ("recall_at_1", "recall_at_5", "recall_at_10", "median_rank", "mrr"):
            assert getattr(result, figure) == (getattr(one, figure) + getattr(two, figure)) / 2
        recalls = one.recall_at_1, two.recall_at_1
        assert (result.n_seeds, result.recall_at_1_sd) == (2, pytest.approx(np.std(recalls, ddof=1)))
        low, high = result.recall_at_1_ci95
        assert low <= min(recalls)
        assert max(recalls) <= high


def test_views_of_a_single():
    result = summarise(ranks(directions(0, 50, 100), directions(5, 45, 20)), kind="view")
    assert (result.kind, result.n, result.recall_at_1) == ("view", 3, pytest.approx(2 / 3))


def test_single_has_no_pairs():
    embeddings, present = three_modalities()
    with pytest.raises(ValueError, match="dos has no pair of modalities"):
        evaluate_pairs(embeddings, present, parse_combination("dos"))


@pytest.mark.parametrize("evaluate", [evaluate_pairs, rank_fused])
def test_embedding_that_is_not_finite_is_refused_by_name_and_row(evaluate):
    embeddings, present = three_modalities()
    embeddings["text"][[7, 9], 0] = np.nan
    with pytest.raises(ValueError, match="text: 2 of 60 embeddings are not finite, the first in row 7"):
        evaluate(embeddings, present, THREE)


def test_rows_that_do_not_match_are_refused():
    embeddings, present = three_modalities()
    present["dos"] = present["dos"][:-1]
    with pytest.raises(ValueError, match=re.escape("dos: embeddings[name].shape=(60, 8)")):
        evaluate_pairs(embeddings, present, THREE)
