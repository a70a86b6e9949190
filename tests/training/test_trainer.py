from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from matbind.base.model_files import CHECKPOINT
from matbind.evaluation.retrieval import evaluate_pairs
from matbind.training.loss import info_nce
from matbind.training.trainer import learning_rate_at, use_bfloat16, validation_recalls
from tests.factories import (
    first_gradients,
    make_settings,
    make_trainer,
    needs_sample,
    quiet_trainer,
    real_features,
    run_ranks,
)

pytestmark = needs_sample


def figures_without_time(trainer) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in trainer.progress.history]


def test_a_few_steps_lower_the_loss(tmp_path):
    trainer = make_trainer("crystal+dos+pxrd+text", {"training.epochs": 8, "training.validate_every": 8})
    trainer.fit(tmp_path)
    losses = [row["loss"] for row in trainer.progress.history]
    assert losses[-1] < 0.9 * losses[0]


def test_every_pair_of_hub_and_spoke_has_its_loss_and_both_recalls(tmp_path):
    trainer = make_trainer("crystal+dos+text", {"training.epochs": 1})
    trainer.fit(tmp_path)
    row = trainer.progress.history[0]
    assert {"loss.dos", "loss.text"} <= set(row)
    recalls = [
        f"validation_recall_at_1.{pair}" for pair in ("crystal->dos", "dos->crystal", "crystal->text", "text->crystal")
    ]
    assert row["validation_recall_at_1"] == pytest.approx(np.mean([row[name] for name in recalls]))
    assert row["loss"] == pytest.approx((row["loss.dos"] + row["loss.text"]) / 2)


@pytest.mark.parametrize("combination", ["crystal+pxrd", "dos+text", "text"])
def test_the_same_seed_gives_the_same_figures_and_weights(tmp_path, combination):
    trainers = [make_trainer(combination) for _ in range(2)]
    models = [trainer.fit(tmp_path / str(i)).state_dict() for i, trainer in enumerate(trainers)]
    assert figures_without_time(trainers[0]) == figures_without_time(trainers[1])
    assert all(torch.equal(models[0][key], models[1][key]) for key in models[0])


def test_another_seed_gives_other_figures(tmp_path):
    first, second = (make_trainer("text", {"seed": seed, "training.epochs": 1}) for seed in (0, 1))
    first.fit(tmp_path / "a")
    second.fit(tmp_path / "b")
    assert first.progress.history[0]["loss"] != second.progress.history[0]["loss"]


class KilledError(Exception):
    """As if the process had ended."""


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(tmp_path):
    changes = {"training.epochs": 3, "training.ema_decay": 0.9}

    def kill(figures: dict[str, float]) -> None:
        if figures["epoch"] == 2:
            raise KilledError

    whole = make_trainer("crystal+text", changes)
    expected = whole.fit(tmp_path / "whole").state_dict()
    with pytest.raises(KilledError):
        make_trainer("crystal+text", changes).fit(tmp_path / "killed", on_epoch=kill)
    resumed, lines = make_trainer("crystal+text", changes), []
    weights = resumed.fit(tmp_path / "killed", log=lines.append).state_dict()
    assert lines[0] == "crystal+text: resumed after epoch 2"
    assert figures_without_time(resumed) == figures_without_time(whole)
    assert all(torch.equal(weights[key], expected[key]) for key in expected)
    assert all(torch.equal(a, b) for a, b in zip(resumed.model.parameters(), whole.model.parameters(), strict=True))


def test_a_checkpoint_that_was_cut_short_while_written_does_not_replace_the_last(tmp_path):
    trainer = make_trainer("text", {"training.epochs": 1})
    trainer.fit(tmp_path)
    (tmp_path / CHECKPOINT).with_suffix(".partial").write_bytes(b"half")
    assert make_trainer("text", {"training.epochs": 1}).load_checkpoint(tmp_path / CHECKPOINT)


def test_training_stops_when_validation_stands_still(tmp_path, monkeypatch):
    trainer = make_trainer("text", {"training.epochs": 30, "training.patience": 2})
    recalls = iter([0.1, 0.3, 0.2, 0.3, 0.1, 0.9, 0.9])
    monkeypatch.setattr("matbind.training.trainer.validation_recalls", lambda *_: {"text->text": next(recalls)})
    weights = []
    trainer.fit(
        tmp_path, on_epoch=lambda _: weights.append(trainer.average.state_dict()["heads.text.linear.weight"].clone())
    )
    assert trainer.progress.epoch == 5
    assert trainer.progress.best_epoch == 2
    assert torch.equal(trainer.average.state_dict()["heads.text.linear.weight"], weights[1])


def test_the_average_follows_the_weights_slowly(tmp_path):
    trainer = make_trainer("text", {"training.epochs": 1, "training.ema_decay": 0.9})
    before = trainer.model.heads["text"].linear.weight.detach().clone()
    trainer._train_epoch()
    now = trainer.model.heads["text"].linear.weight.detach()
    mean = trainer.average.heads["text"].linear.weight
    assert 0 < (mean - before).norm() < (now - before).norm()


def test_materials_without_a_dos_train_the_other_pairs():
    trainer = quiet_trainer("crystal+dos+text")
    lacking = trainer.train_index[~trainer.stores["dos"].present[trainer.train_index]]
    assert len(lacking) >= 2
    holding = trainer.train_index[trainer.stores["dos"].present[trainer.train_index]][:6]
    index = np.sort(np.concatenate([lacking, holding]))
    both, fewer = (trainer.losses(rows, np.random.default_rng(0)) for rows in (index, holding))
    torch.testing.assert_close(both["dos"], fewer["dos"], rtol=1e-4, atol=1e-4)
    assert abs(both["text"].item() - fewer["text"].item()) > 1e-3


def test_a_batch_in_which_nobody_has_a_dos_trains_the_other_pairs():
    trainer = quiet_trainer("crystal+dos+text")
    lacking = trainer.train_index[~trainer.stores["dos"].present[trainer.train_index]]
    losses = trainer.losses(lacking, np.random.default_rng(0))
    assert losses["dos"].item() == 0
    torch.stack(list(losses.values())).mean().backward()
    gradients = [p.grad for p in trainer.model.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert losses["text"].item() > 0


def test_each_part_of_the_hub_is_contrasted_in_its_block():
    trainer = quiet_trainer("crystal+text", {"model.hub_part_weight": 0.25})
    index = trainer.train_index[:6]
    z = [torch.from_numpy(trainer.embed_split(trainer.model, name, index)) for name in ("crystal", "text")]
    half = trainer.settings.model.projection_dim // 2
    blocks = [[torch.nn.functional.normalize(side[:, rows]) for side in z] for rows in (slice(half), slice(half, None))]
    whole, first, second = (info_nce(*pair, torch.tensor(1 / 0.07)) for pair in (z, *blocks))
    loss = trainer._pair_loss("text", *z)
    torch.testing.assert_close(loss, whole + 0.25 * (first + second))


def test_materials_without_the_hub_are_not_trained_on():
    trainer = make_trainer("dos+pxrd", {"hub_order": ["dos", "crystal", "text", "pxrd"]})
    assert trainer.combination.hub == "dos"
    assert trainer.stores["dos"].present[trainer.train_index].all()


def test_a_single_modality_learns_from_two_views(tmp_path):
    trainer = make_trainer("pxrd", {"training.epochs": 6, "modalities.pxrd.transform.noise": 0.05})
    trainer.fit(tmp_path)
    row = trainer.progress.history[-1]
    assert row["loss"] < trainer.progress.history[0]["loss"]
    assert {"loss.pxrd", "validation_recall_at_1.pxrd->pxrd"} <= set(row)


def test_the_two_transforms_of_a_single_differ_and_repeat():
    trainer = make_trainer("pxrd", {"modalities.pxrd.transform.noise": 0.05})
    index = trainer.validation_index
    first, again, second, plain = (
        trainer.embed_split(trainer.model, "pxrd", index, view_seed=seed) for seed in (0, 0, 1, None)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - second).max() > 1e-3
    assert np.abs(first - plain).max() > 1e-3


def test_what_was_learned_is_the_pairs_and_not_the_measurement(tmp_path):
    trainer = quiet_trainer("crystal+text", {"training.epochs": 40, "training.validate_every": 40})
    trainer.fit(tmp_path)
    index = trainer.train_index
    embeddings = {name: trainer.embed_split(trainer.average, name, index) for name in ("crystal", "text")}
    present = {name: np.ones(len(index), dtype=bool) for name in embeddings}
    learned = evaluate_pairs(embeddings, present, trainer.combination)["text->crystal"]
    shuffled = evaluate_pairs(embeddings, present, trainer.combination, shuffled=True)["text->crystal"]
    assert learned.recall_at_1 > 0.5
    assert shuffled.recall_at_1 < 0.15


def test_validation_is_on_the_validation_split_only(tmp_path, monkeypatch):
    trainer = make_trainer("crystal+text", {"training.epochs": 1})
    asked: list[np.ndarray] = []
    embed = trainer.embed_split
    monkeypatch.setattr(
        trainer, "embed_split", lambda *given, **options: (asked.append(given[2]), embed(*given, **options))[1]
    )
    validation_recalls(trainer, trainer.average, trainer.validation_index)
    assert set(np.concatenate(asked)) <= set(trainer.validation_index)
    assert not set(trainer.validation_index) & set(trainer.train_index)


def test_an_epoch_uses_every_material_once_in_another_order():
    trainer = make_trainer("crystal+text", {"training.batch_size": 2})
    orders = [list(trainer._batches(np.random.default_rng(seed))) for seed in (0, 0, 1)]
    seen = [np.concatenate(order) for order in orders]
    assert len(np.unique(seen[0])) == len(seen[0]) >= len(trainer.train_index) - 1
    np.testing.assert_array_equal(seen[0], seen[1])
    assert any(not np.array_equal(a, b) for a, b in zip(orders[0], orders[2], strict=True))


def test_a_factor_of_zero_freezes_an_encoder():
    trainer = make_trainer("crystal+text", {"training.learning_rate_factors": {"text": 0.0}})
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer._train_epoch()
    moved = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith("encoders.text") for name in moved)
    assert "heads.text.linear.weight" in moved
    assert any(name.startswith("encoders.crystal") for name in moved)


def test_a_small_factor_moves_an_encoder_less():
    steps = {}
    for factor in (1.0, 0.01):
        trainer = quiet_trainer("crystal+text", {"training.learning_rate_factors": {"text": factor}})
        before = trainer.model.encoders["text"].bert.embeddings.word_embeddings.weight.detach().clone()
        trainer._train_epoch()
        steps[factor] = (trainer.model.encoders["text"].bert.embeddings.word_embeddings.weight - before).norm().item()
    assert steps[0.01] < 0.1 * steps[1.0]


def test_the_learning_rate_warms_up_and_falls_to_zero():
    training = make_settings({"training.learning_rate": 1.0, "training.warmup_share": 0.1}).training
    rates = [learning_rate_at(step, 100, training) for step in range(101)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    assert max(rates) == 1
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert all(later <= earlier for earlier, later in pairwise(rates[10:]))


def test_without_warmup_the_learning_rate_starts_at_its_full_height():
    training = make_settings({"training.learning_rate": 1.0, "training.warmup_share": 0.0}).training
    assert learning_rate_at(0, 10, training) == 1


def test_the_precision_is_what_the_settings_say():
    assert use_bfloat16("bfloat16", torch.device("cpu"))
    assert not use_bfloat16("float32", torch.device("cpu"))


def test_bfloat16_embeddings_are_close_to_those_in_single_precision():
    embeddings = []
    for precision in ("float32", "bfloat16"):
        trainer = make_trainer("crystal+dos+pxrd+text", {"training.precision": precision})
        rows = trainer.validation_index[trainer.stores["dos"].present[trainer.validation_index]]
        embeddings.append(
            [trainer.embed_split(trainer.model, name, rows) for name in ("crystal", "dos", "pxrd", "text")]
        )
    for exact, rough in zip(*embeddings, strict=True):
        assert (exact * rough).sum(axis=1).min() > 0.99


def test_two_ranks_train_as_one(tmp_path):
    ranks = run_ranks(tmp_path, f"train:{real_features()}")[f"train:{real_features()}"]
    expected = first_gradients(quiet_trainer("crystal+dos+text", {"training.batch_size": 16}))
    scale = max(np.abs(value).max() for value in expected.values())
    for name, value in expected.items():
        for rank in ranks:
            np.testing.assert_allclose(rank[f"grad.{name}"], value, atol=1e-5 * scale, rtol=1e-3, err_msg=name)
    for name in ranks[0]:
        np.testing.assert_array_equal(ranks[0][name], ranks[1][name], err_msg=name)
