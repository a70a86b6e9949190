from __future__ import annotations

import numpy as np
import pytest
import torch

from matbind.modalities.store import Store, write_store
from matbind.modalities.strain import Strain
from matbind.modalities.text import features
from matbind.modalities.text.features import ANGLE, LENGTH, PAD
from matbind.modalities.text.settings import FeaturesSettings, TransformSettings
from matbind.modalities.text.transform import TokenBatch, Transform
from tests.checkpoints import WIDTH, save_tiny_bert
from tests.factories import material, store_of

LONG = "Pd is cubic. " + " ".join(
    f"Ti has {word} O, 2.{n}0 Å and 9{n}°." for n, word in enumerate(["one", "two", "three", "four"])
)
SHORT = "Ba is hexagonal."


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    given = [material(text=LONG), material(text=SHORT)]
    return store_of(tmp_path_factory.mktemp("stores"), "text", given, {"min_count": 1})


def transform_of(store, **changes) -> Transform:
    nothing = {"drop_sentences": 0.0, "drop_tokens": 0.0, "train_tokens": 0, "short": 0.0}
    return Transform(store, TransformSettings(**(nothing | changes)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def spelled(store, batch: TokenBatch, row: int) -> list[str]:
    return [store.meta["vocabulary"][i] for i in batch.token[row][batch.mask[row]].tolist()]


def test_shorter_texts_are_padded_and_masked(store):
    batch = transform_of(store)(np.array([0, 1]))
    assert batch.token.shape == (2, 26)
    assert batch.mask.sum(dim=1).tolist() == [26, 2]
    assert (batch.token[1, 2:] == PAD).all()
    assert spelled(store, batch, 1) == ["Ba", "hexagonal"]


def test_values_stand_beside_their_tokens(store):
    batch = transform_of(store)(np.array([0]))
    np.testing.assert_allclose(batch.value[batch.token == LENGTH], [2.0, 2.1, 2.2, 2.3])
    np.testing.assert_allclose(batch.value[batch.token == ANGLE], [90, 91, 92, 93])


def test_a_strain_scales_lengths_and_not_angles(store):
    gradient = np.stack([np.diag([1.03, 1.0, 1.0]), np.eye(3)]).astype(np.float32)
    batch = transform_of(store)(np.array([0, 1]), strain=Strain(gradient))
    np.testing.assert_allclose(batch.value[batch.token == LENGTH], np.array([2.0, 2.1, 2.2, 2.3]) * 1.01, rtol=1e-6)
    np.testing.assert_allclose(batch.value[batch.token == ANGLE], [90, 91, 92, 93])


def test_at_strength_zero_the_random_batch_is_the_plain_one(store):
    plain, random = transform_of(store)(np.array([0, 1])), transform_of(store)(np.array([0, 1]), rng=rng())
    assert all(torch.equal(value, vars(random)[name]) for name, value in vars(plain).items())


@pytest.mark.parametrize("seed", range(5))
def test_the_first_sentence_is_never_dropped(store, seed):
    batch = transform_of(store, drop_sentences=0.99)(np.array([0, 1]), rng=rng(seed))
    assert spelled(store, batch, 0)[:2] == ["Pd", "cubic"]
    assert spelled(store, batch, 1) == ["Ba", "hexagonal"]


def test_sentences_are_dropped_whole(store):
    words = spelled(store, transform_of(store, drop_sentences=0.5)(np.array([0]), rng=rng()), 0)
    kept = (len(words) - 2) // 6
    assert 0 < kept < 4
    assert words[2:] == [
        w for n in ["one", "two", "three", "four"] if n in words for w in ["Ti", "has", n, "O", "[length]", "[angle]"]
    ]


def test_tokens_are_dropped_one_by_one(store):
    lengths = [
        int(transform_of(store, drop_tokens=0.5)(np.array([0]), rng=rng(seed)).mask.sum()) for seed in range(100)
    ]
    assert np.mean(lengths) == pytest.approx(14, abs=1)  # the two of the first sentence, and half of the others


@pytest.mark.parametrize(("budget", "expected"), [(2, 2), (3, 8), (8, 8), (9, 14), (1000, 26)])
def test_sentences_are_drawn_until_the_budget_is_reached(store, budget, expected):
    batch = transform_of(store, train_tokens=budget)(np.array([0, 1]), rng=rng())
    assert batch.mask.sum(dim=1).tolist() == [expected, 2]


def test_the_sentences_of_the_budget_are_drawn_at_random_and_stay_in_order(store):
    seen = set()
    for seed in range(40):
        words = spelled(store, transform_of(store, train_tokens=14)(np.array([0]), rng=rng(seed)), 0)
        picked = tuple(word for word in words if word in {"one", "two", "three", "four"})
        seen.add(picked)
        assert picked == tuple(word for word in ("one", "two", "three", "four") if word in picked)
    assert len(seen) == 6  # all pairs of four


def test_a_validation_batch_keeps_all_tokens(store):
    assert transform_of(store, train_tokens=2, drop_tokens=0.5)(np.array([0])).mask.sum() == 26


def test_a_batch_of_nothing_is_empty(store):
    batch = transform_of(store, drop_tokens=0.1, train_tokens=8)(np.array([], dtype=np.int64), rng=rng())
    assert batch.token.shape[0] == 0


@pytest.fixture
def frozen(tmp_path):
    checkpoint = save_tiny_bert(tmp_path / "checkpoint")
    settings = FeaturesSettings(tokenizer="frozen", checkpoint=checkpoint, max_tokens=24, min_count=1)
    rows = [{"embedding": np.full(WIDTH, 0.5)}, None]
    write_store(tmp_path / "text", features.specs(settings), rows, meta=features.fit([], settings))
    return Store(tmp_path / "text")


def test_a_frozen_embedding_passes_as_it_is(frozen):
    np.testing.assert_array_equal(
        transform_of(frozen, drop_tokens=0.5)(np.array([0])).embedding, np.full((1, WIDTH), 0.5)
    )


def test_in_training_components_of_a_frozen_embedding_are_dropped(frozen):
    batch = transform_of(frozen, drop_tokens=0.25)(np.array([0]), rng=rng()).embedding
    assert 0.15 < (batch == 0).float().mean() < 0.35


def test_the_composition_of_the_opening_formula_is_given_beside(store):
    batch = transform_of(store, drop_sentences=0.5, drop_tokens=0.5, train_tokens=4)(np.array([0, 1]), rng=rng())
    assert batch.composition.nonzero().tolist() == [[0, 45], [1, 55]]  # palladium, barium


def test_a_short_text_is_its_formula_and_some_words_of_its_first_sentence(store):
    seen = set()
    for seed in range(20):
        batch = transform_of(store, short=1.0)(np.array([0, 1]), rng=rng(seed))
        seen |= {tuple(spelled(store, batch, row)) for row in (0, 1)}
    assert seen == {("Pd",), ("Pd", "cubic"), ("Ba",), ("Ba", "hexagonal")}


def test_short_says_how_often_a_text_is_cut(store):
    whole = [transform_of(store, short=0.3)(np.array([0]), rng=rng(seed)).mask.sum() == 26 for seed in range(300)]
    assert np.mean(whole) == pytest.approx(0.7, abs=0.08)


def test_a_formula_of_several_elements_stays_whole(tmp_path):
    stored = store_of(tmp_path, "text", [material(text="SrTiO3 is cubic.")], {"min_count": 1})
    for seed in range(20):
        words = spelled(stored, transform_of(stored, short=1.0)(np.array([0]), rng=rng(seed)), 0)
        assert words[:3] == ["Sr", "Ti", "O3"]
