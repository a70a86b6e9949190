from __future__ import annotations

import numpy as np
import pytest

from matbind.analysis.measures.contribution import changes, hits_by_query, missing_combinations
from matbind.evaluation.retrieval import evaluate_pairs
from matbind.evaluation.two_level import resampling_weights
from matbind.modalities.combinations import all_combinations, parse_combination

NAN = np.nan


def scores_of_two() -> dict[str, dict[str, np.ndarray]]:
    """Adding pxrd helps queries 0 and 1 of text->dos and harms query 2; query 4 is not asked."""
    return {
        "dos+text": {"text->dos": np.array([[0, 0, 1, 1, NAN]]), "dos->text": np.array([[1, 1, 1, 1, NAN]])},
        "dos+pxrd+text": {
            "text->dos": np.array([[1, 1, 0, 1, NAN]]),
            "dos->text": np.array([[1, 1, 1, 1, NAN]]),
            "text->pxrd": np.array([[0, 0, 0, 0, 1.0]]),
        },
    }


def test_hits_are_those_of_the_recall_on_the_axis_of_the_test_split():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(30, 4))
    embeddings = {name: base + 0.7 * rng.normal(size=base.shape) for name in ("crystal", "dos", "text")}
    embeddings["dos"][:6] = NAN
    combination = parse_combination("crystal+dos+text")
    present = {name: np.isfinite(values).all(axis=1) for name, values in embeddings.items()}
    expected = evaluate_pairs(embeddings, present, combination, n_resamples=1)
    hits_by_pair = hits_by_query(embeddings, combination)
    assert set(hits_by_pair) == set(expected)
    for pair, hits in hits_by_pair.items():
        assert hits.shape == (30,)
        assert np.isnan(hits[:6]).all() == ("dos" in pair)
        assert np.nanmean(hits) == pytest.approx(expected[pair].recall_at_1, abs=1e-12)


def test_a_single_has_no_pair():
    assert hits_by_query({"dos": np.eye(3)}, parse_combination("dos")) == {}


def weights(n_test: int, n_resamples: int = 5) -> np.ndarray:
    return resampling_weights(n_test, n_resamples=n_resamples, seed=0)


def test_a_change_by_hand():
    steps = changes(scores_of_two(), weights(5, 500))
    assert [(step.modality, step.before, step.after, step.question) for step in steps] == [
        ("pxrd", "dos+text", "dos+pxrd+text", "text->dos"),
        ("pxrd", "dos+text", "dos+pxrd+text", "dos->text"),
    ]
    first, second = steps
    assert (first.n, first.score_before, first.score_after, first.change) == (4, 0.5, 0.75, 0.25)
    assert (first.kind_before, first.kind_after) == ("aligned", "aligned")
    assert -1 <= first.change_ci95[0] < 0 < first.change_ci95[1] <= 1
    assert (second.change, second.change_ci95) == (0.0, (0.0, 0.0))


def test_paired_intervals_are_narrower_than_the_scores_own():
    rng = np.random.default_rng(0)
    before = (rng.random(400) < 0.5).astype(float)
    after = before.copy()
    after[np.flatnonzero(before == 0)[:8]] = 1.0  # eight queries gained, none lost
    (step,) = changes({"dos+text": {"q": before[None]}, "dos+pxrd+text": {"q": after[None]}}, weights(400, 1000))
    assert step.change == 0.02
    # Standard error sqrt(0.02 * 0.98 / 400) = 0.007; unpaired it would be 0.035.
    assert step.change_ci95 == pytest.approx((0.0075, 0.035), abs=0.004)
    assert (step.kind_before, step.kind_after) == (None, None)


def test_every_step_between_all_combinations_is_taken():
    scores = {combination.name: {"probe": np.ones((1, 3))} for combination in all_combinations()}
    steps = changes(scores, weights(3))
    assert len(steps) == 4 * 7  # each modality joins seven combinations of the other three
    assert {step.before for step in steps if step.modality == "dos"} == {
        "crystal",
        "pxrd",
        "text",
        "crystal+pxrd",
        "crystal+text",
        "pxrd+text",
        "crystal+pxrd+text",
    }


def test_a_combination_that_failed_leaves_the_other_steps():
    names = [combination.name for combination in all_combinations()]
    scores = {name: {"probe": np.ones((1, 3))} for name in names if name != "dos+text"}
    assert missing_combinations(scores) == ["dos+text"]
    # Two steps lead to it and two lead from it.
    assert len(changes(scores, weights(3))) == 28 - 4


def test_a_question_no_material_is_asked_in_both_is_passed_over():
    scores = {"dos": {"q": np.array([[1.0, NAN]])}, "dos+text": {"q": np.array([[NAN, 1.0]])}}
    assert changes(scores, weights(2)) == []


def test_of_several_trainings_a_change_is_that_of_their_means_and_as_unsure_as_they_differ():
    rng = np.random.default_rng(0)
    before = np.stack([(rng.random(400) < recall).astype(float) for recall in (0.3, 0.5)])
    after = np.stack([(rng.random(400) < recall).astype(float) for recall in (0.6, 0.8)])
    scores = {"dos+text": {"q": before}, "dos+pxrd+text": {"q": after}}
    (step,) = changes(scores, weights(400, 500))
    assert step.score_before == pytest.approx(before.mean())
    assert step.change == pytest.approx(after.mean() - before.mean())
    (once,) = changes({name: {"q": of["q"][:1]} for name, of in scores.items()}, weights(400, 500))
    assert step.change_ci95[1] - step.change_ci95[0] > 3 * (once.change_ci95[1] - once.change_ci95[0])
