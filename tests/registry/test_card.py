from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from matbind.modalities.combinations import all_combinations, parse_combination
from matbind.registry.card import LONGEST, model_card
from matbind.serving.confidence import BINS, Confidence


def evaluation_of(name: str) -> dict[str, Any]:
    combination = parse_combination(name)
    result = {
        "n": 705,
        "recall_at_1": 0.4321,
        "recall_at_10": 0.9,
        "chance_at_1": 1 / 705,
        "recall_at_1_ci95": [0.4, 0.46],
    }
    pairs = {f"{q}->{k}": result | {"kind": combination.kind(q, k)} for q, k in combination.pairs()}
    training = {"seed": 0, "validation_recall_at_1": 0.5}
    return {"pairs": pairs, "seed": 0, "trainings": [training], "data_md5": "48.dir", "git_commit": "abc"}


def card(name: str, *, sure: bool = True, **changes: Any) -> str:
    combination = parse_combination(name)
    bins = [{"from": low, "to": high, "n": 0, "claimed": 0.0, "right": 0.0} for low, high in pairwise(BINS)]
    bins[-1] |= {"n": 50, "claimed": 0.95, "right": 0.912} if sure else {}
    accepted = {"n": 50, "precision": 0.912, "coverage": 0.25} if sure else {"n": 0, "precision": 0.0, "coverage": 0.0}
    one = Confidence([0.0, 1.0, 1.0, 1.0, 0.0], bins, 0.0312, {"mean": 0.02, "below95": 0.034}, accepted)
    names = combination.modalities
    return model_card(
        combination,
        evaluation_of(name) | changes,
        counts={side: dict.fromkeys(names, 705) for side in ("train", "validation", "test")},
        confidence={f"{query}->{key}": one for query in (*names, "+".join(names)) for key in names},
        preset="small",
        digest="0123456789abcdef" * 4,
    )


@pytest.mark.parametrize(
    "line",
    [
        "DVC md5 `48.dir`, code `abc`, content `0123456789abcdef`.",
        "| test | 705 | 705 |",
        "| crystal->pxrd | aligned | 705 | 0.432 [0.400, 0.460] | 0.900 | 0.0014 |",
        "| pxrd->crystal | - | - | - | - | - | 0.91, 0.95 (50) | 0.031 | 0.034 | 0.25 |",
        "A material that is not in the gallery cannot be found.",
        "CC BY 4.0",
        "pxrd were each contrasted with the hub crystal",
        "One training (seed 0): the interval is over test materials only. Ties count against the model.",
    ],
)
def test_a_card_says(line: str) -> None:
    assert line in card("crystal+pxrd")


def test_a_card_says_which_of_several_trainings_the_model_is() -> None:
    trainings = [{"seed": seed, "validation_recall_at_1": recall} for seed, recall in ((0, 0.71), (3, 0.74))]
    text = card("crystal+pxrd", seed=3, trainings=trainings)
    assert (
        "the training with seed 3, the best of 2 on the validation split (recall@1 by seed 0: 0.710, 3: 0.740)" in text
    )
    assert "Recall is the mean of all 2, with its 95 % interval over trainings and test materials." in text


def test_a_pair_that_is_never_sure_finds_nothing() -> None:
    assert "| pxrd->crystal | - | - | - | - | - | - | 0.031 | 0.034 | 0.00 |" in card("crystal+pxrd", sure=False)


def test_a_single_was_contrasted_with_itself() -> None:
    assert "two augmented views of each dos were contrasted" in card("dos")


def test_unknown_origins_are_said() -> None:
    combination = parse_combination("dos")
    evaluation = evaluation_of("dos") | {"data_md5": None, "git_commit": None}

    text = model_card(combination, evaluation, counts={}, confidence={}, preset="small", digest="d")

    assert "DVC md5 `unknown`, code `unknown`" in text


@pytest.mark.parametrize("combination", all_combinations(), ids=lambda combination: combination.name)
def test_a_card_fits_the_description_of_a_version(combination: Any) -> None:
    assert len(card(combination.name)) < LONGEST
