from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from matbind.base.errors import UserError
from matbind.data.featurize import read_split
from matbind.modalities.combinations import parse_combination
from matbind.modalities.table import part
from matbind.training.combination import is_done, train_and_evaluate
from matbind.training.model import Model, open_stores
from tests.factories import needs_sample, real_features, small_run

pytestmark = needs_sample
RESULT_KEYS = {
    *("kind", "n", "recall_at_1", "recall_at_5", "recall_at_10", "median_rank", "mrr"),
    *("chance_at_1", "chance_at_5", "chance_at_10", "recall_at_1_ci95", "recall_at_5_ci95"),
    *("n_seeds", "recall_at_1_sd", "recall_at_5_sd"),
}


def run(root, combination="crystal+text", overrides=None, *, seed=0, **options):
    settings = small_run(overrides)
    return train_and_evaluate(
        settings,
        parse_combination(combination, settings.hub_order),
        seed=seed,
        features=options.pop("features", real_features()),
        models=root / "models",
        **options,
    )


def done(root, combination="crystal+text", overrides=None, *, seed=0) -> bool:
    settings = small_run(overrides)
    parsed = parse_combination(combination, settings.hub_order)
    return is_done(settings, parsed, seed=seed, features=real_features(), models=root / "models")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("ablation")
    return root, run(root)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return run(tmp_path_factory.mktemp("ablation"), "crystal+dos+text", {"training.epochs": 1})


def test_the_evaluation_is_what_the_file_holds(finished):
    root, evaluation = finished
    assert json.loads((root / "models/crystal+text/seed-0/evaluation.json").read_text()) == evaluation
    assert {
        *("combination", "seed", "hub", "run_id", "pairs", "fused", "control", "unmeasured"),
        *("best_epoch", "epochs", "validation_recall_at_1", "seconds", "n_parameters"),
    } <= set(evaluation)
    assert (evaluation["combination"], evaluation["hub"], evaluation["epochs"]) == ("crystal+text", "crystal", 2)


def test_every_ordered_pair_is_measured_in_full(three):
    assert list(three["pairs"]) == [
        "crystal->dos",
        "crystal->text",
        "dos->crystal",
        "dos->text",
        "text->crystal",
        "text->dos",
    ]
    for result in three["pairs"].values():
        assert set(result) == RESULT_KEYS
    kinds = {name: result["kind"] for name, result in three["pairs"].items()}
    assert kinds["text->dos"] == kinds["dos->text"] == "emergent"
    assert {kinds[name] for name in ("crystal->dos", "text->crystal")} == {"aligned"}


def test_fused_queries_and_the_control_are_measured(three):
    assert set(three["fused"]) == {"crystal+dos->text", "crystal+text->dos", "dos+text->crystal"}
    assert set(three["control"]) == set(three["pairs"])


def test_galleries_are_the_test_materials_that_hold_both(three):
    index, stores = read_split(real_features(), "test"), open_stores(real_features())
    with_dos = int(stores["dos"].present[index].sum())
    assert three["pairs"]["crystal->text"]["n"] == len(index)
    assert three["pairs"]["text->dos"]["n"] == with_dos < len(index)
    assert three["pairs"]["text->dos"]["chance_at_1"] == pytest.approx(1 / with_dos)


def test_only_test_materials_are_embedded(finished):
    root, _ = finished
    index = pl.read_parquet(real_features() / "index.parquet")
    kept = np.load(root / "models/crystal+text/seed-0" / "test_embeddings.npz")
    assert kept["material_id"].tolist() == index.filter(pl.col("split") == "test")["material_id"].to_list()


def test_the_kept_weights_give_the_kept_embeddings(finished):
    root, _ = finished
    settings, stores = small_run(), open_stores(real_features())
    model = Model(
        settings, parse_combination("crystal+text"), {name: store.meta for name, store in stores.items()}
    ).eval()
    model.load_state_dict(load_file(root / "models/crystal+text/seed-0" / "model.safetensors"))
    index = read_split(real_features(), "test")
    transform = part("text", "transform").Transform(stores["text"], settings.modalities["text"].transform)
    with torch.no_grad():
        embedded = model.embed("text", transform(index)).numpy()
    kept = np.load(root / "models/crystal+text/seed-0" / "test_embeddings.npz")["text"]
    np.testing.assert_allclose(embedded, kept, atol=1e-5)


def test_what_is_kept_beside_the_weights(finished):
    root, _ = finished
    names = {path.name for path in (root / "models/crystal+text/seed-0").iterdir()}
    assert {"model.safetensors", "settings.json", "history.json", "test_embeddings.npz", "evaluation.json"} <= names
    assert "checkpoint.pt" not in names
    assert not [name for name in names if name.endswith(".partial")]
    assert len(json.loads((root / "models/crystal+text/seed-0" / "history.json").read_text())) == 2


def test_the_parameters_of_every_part_are_counted(finished):
    _, evaluation = finished
    assert set(evaluation["n_parameters"]) == {"crystal", "text", "crystal.projection", "text.projection"}
    assert all(count > 0 for count in evaluation["n_parameters"].values())


def test_a_finished_combination_is_not_trained_again(finished):
    root, evaluation = finished
    lines = []
    before = (root / "models/crystal+text/seed-0" / "model.safetensors").stat().st_mtime_ns
    assert run(root, log=lines.append) == evaluation
    assert lines == ["crystal+text: already trained"]
    assert (root / "models/crystal+text/seed-0" / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"model.temperature": 0.1}, False),
        ({"training.epochs": 3}, False),
        ({"seed": 1}, False),
        ({"modalities.text.transform.drop_tokens": 0.3}, False),
        ({"modalities.crystal.encoder.width": 16}, False),
        ({"deformation.shape": 0.02}, False),
        ({"ablate.workers": 3}, True),
        ({"ablate.combinations": ["crystal+text"]}, True),
        ({"ablate.seeds": [3, 0]}, True),
        ({"evaluation.bootstrap_resamples": 200}, False),
        ({"modalities.dos.transform.noise": 0.3}, True),
        ({"modalities.pxrd.encoder.widths": [8, 16]}, True),
    ],
    ids=str,
)
def test_a_change_of_what_it_was_made_with_makes_it_stale(finished, changes, expected):
    assert done(finished[0], overrides=changes) is expected


def test_another_combination_is_not_finished_by_this_one(finished):
    assert not done(finished[0], "crystal+dos")


def test_another_seed_is_not_finished_by_this_one(finished):
    assert not done(finished[0], seed=1)


def test_another_seed_is_another_training(tmp_path, finished):
    evaluation = run(tmp_path, seed=1)
    assert (evaluation["seed"], finished[1]["seed"]) == (1, 0)
    weights = [
        load_file(root / f"models/crystal+text/seed-{seed}/model.safetensors")
        for root, seed in ((finished[0], 0), (tmp_path, 1))
    ]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_without_its_evaluation_it_is_not_finished(tmp_path):
    run(tmp_path, "text", {"training.epochs": 1})
    assert done(tmp_path, "text", {"training.epochs": 1})
    (tmp_path / "models/text/seed-0/evaluation.json").unlink()
    assert not done(tmp_path, "text", {"training.epochs": 1})


class KilledError(Exception):
    """As if the process had ended."""


def kill_after_one(figures: dict[str, float]) -> None:
    if figures["epoch"] == 1:
        raise KilledError


def test_a_combination_that_was_killed_ends_with_the_same_metrics(tmp_path, finished):
    with pytest.raises(KilledError):
        run(tmp_path, on_epoch=kill_after_one)
    assert not done(tmp_path)
    lines: list[str] = []
    evaluation = run(tmp_path, log=lines.append)
    assert lines[0] == "crystal+text: resumed after epoch 1"
    assert evaluation | {"seconds": None} == finished[1] | {"seconds": None}


def test_a_checkpoint_of_other_settings_is_not_taken_up(tmp_path):
    with pytest.raises(KilledError):
        run(tmp_path, "text", on_epoch=kill_after_one)
    lines: list[str] = []
    run(tmp_path, "text", {"model.temperature": 0.1, "training.epochs": 1}, log=lines.append)
    assert not [sentence for sentence in lines if "resumed" in sentence]


def test_a_single_is_asked_one_view_by_another(tmp_path):
    evaluation = run(tmp_path, "dos", {"training.epochs": 1})
    assert list(evaluation["pairs"]) == list(evaluation["control"]) == ["dos->dos"]
    assert evaluation["pairs"]["dos->dos"]["kind"] == "view"
    assert evaluation["fused"] == {}


def test_a_combination_without_crystals_has_the_hub_of_the_settings(tmp_path):
    evaluation = run(tmp_path, "dos+text", {"training.epochs": 1, "hub_order": ["crystal", "dos", "pxrd", "text"]})
    assert evaluation["hub"] == "dos"
    assert {result["kind"] for result in evaluation["pairs"].values()} == {"aligned"}


def test_features_that_are_not_there_are_named(tmp_path):
    with pytest.raises(UserError, match="expected the output of an earlier stage"):
        run(tmp_path, features=tmp_path / "none")


def test_a_batch_in_which_nobody_has_a_text_is_trained_on(tmp_path):
    features = shutil.copytree(real_features(), tmp_path / "features")
    present = np.fromfile(features / "text" / "present.bin", dtype=bool)
    order = np.flatnonzero(present)
    present[order[3:]] = False  # of 60 materials: most batches of two hold none of these
    present[read_split(features, "train")[:2]] = present[read_split(features, "validation")[:2]] = True
    present.tofile(features / "text" / "present.bin")
    evaluation = run(tmp_path, "crystal+dos+text", {"training.batch_size": 2, "training.epochs": 1}, features=features)
    assert evaluation["combination"] == "crystal+dos+text"
