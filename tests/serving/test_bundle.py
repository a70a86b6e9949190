from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matbind.base.errors import UserError
from matbind.modalities.combinations import parse_combination
from matbind.modalities.store import MANIFEST
from matbind.serving import bundle as bundles
from matbind.serving.bundle import bundle_digest, default_key, test_set_digest, write_bundle
from matbind.serving.gallery import Gallery
from matbind.serving.searcher import CONFIDENCE, MODEL, Searcher, read_settings
from tests.checkpoints import save_tiny_bert
from tests.factories import needs_sample, real_features
from tests.serving.trained import EVERYTHING, bundle, searcher, trained

pytestmark = needs_sample
test_set_digest.__test__ = False  # its name is that of the split, it is no test


def digest(**changes: Path) -> str:
    return bundle_digest(
        trained().combination, **({"model_dir": trained().directory, "features": real_features()} | changes)
    )


def test_the_gallery_holds_all_materials_as_the_evaluation_embedded_them() -> None:
    gallery = Gallery.read(bundle())
    split = gallery.materials["split"].to_numpy()
    test = np.flatnonzero(split == "test")

    assert set(split) == {"train", "validation", "test"}
    for name, stored in trained().test_embeddings.items():
        keys = gallery.keys[name]
        present = np.isfinite(stored).all(axis=1)
        ours = keys.vectors[np.searchsorted(keys.rows, test[present])]
        np.testing.assert_allclose(ours, stored[present], atol=1e-3)


def test_every_question_is_calibrated() -> None:
    confidence = json.loads((bundle() / CONFIDENCE).read_text())

    assert len(confidence) == 15 * 4
    assert {"pxrd->crystal", "dos+pxrd+text->crystal", "crystal->crystal"} <= set(confidence)


def test_it_counts_what_the_gallery_holds() -> None:
    counts = json.loads((bundle() / MODEL).read_text())["counts"]
    index = pl.read_parquet(real_features() / "index.parquet")

    assert {side: n["crystal"] for side, n in counts.items()} == dict(index["split"].value_counts().iter_rows())


def test_the_digest_of_the_same_model_is_the_same() -> None:
    assert digest() == digest()


@pytest.mark.parametrize("part", ["settings.json", "model.safetensors"])
def test_another_part_of_the_model_is_another_digest(part: str, tmp_path: Path) -> None:
    model_dir = shutil.copytree(trained().directory, tmp_path / "model")
    path = model_dir / part
    if part.endswith(".json"):
        path.write_text(path.read_text().replace('"projection_dim": 128', '"projection_dim": 64'))
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")

    assert digest(model_dir=model_dir) != digest()


def test_other_code_is_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest()
    monkeypatch.setattr(bundles, "packaged_digest", lambda: "other")

    assert digest() != before


def test_a_model_without_weights_is_said(tmp_path: Path) -> None:
    model_dir = shutil.copytree(trained().directory, tmp_path / "model")
    (model_dir / "settings.json").unlink()

    with pytest.raises(UserError, match=r"settings\.json: the file does not exist"):
        digest(model_dir=model_dir)


def test_the_test_set_is_known_by_its_materials(tmp_path: Path) -> None:
    index = pl.read_parquet(real_features() / "index.parquet")
    index.reverse().write_parquet(tmp_path / "index.parquet")
    same = test_set_digest(tmp_path)
    index.with_columns(split=pl.lit("test")).write_parquet(tmp_path / "index.parquet")

    assert same == test_set_digest(real_features())
    assert test_set_digest(tmp_path) != same


@pytest.mark.parametrize(("name", "key"), [("crystal+dos", "crystal"), ("dos+text", "text"), ("dos", "dos")])
def test_crystals_are_searched_or_the_hub(name: str, key: str) -> None:
    assert default_key(parse_combination(name)) == key


def test_the_path_of_the_data_stays_at_home() -> None:
    assert json.loads((bundle() / "settings.json").read_text())["prepare"]["data"] == "data"


def test_settings_of_other_stages_may_have_changed_since(tmp_path: Path) -> None:
    bundle_dir = shutil.copytree(bundle(), tmp_path / "bundle")
    settings = json.loads((bundle_dir / "settings.json").read_text())
    del settings["evaluation"]
    (bundle_dir / "settings.json").write_text(json.dumps(settings | {"new": {"stage": 1}}))

    assert read_settings(bundle_dir, ["pxrd"]).modalities.keys() == {"pxrd"}


def test_settings_of_another_version_are_told(tmp_path: Path) -> None:
    model_dir = shutil.copytree(trained().directory, tmp_path / "model")
    settings = json.loads((model_dir / "settings.json").read_text())
    del settings["modalities"]["pxrd"]["transform"]["hidden"]
    (model_dir / "settings.json").write_text(json.dumps(settings))

    with pytest.raises(
        UserError, match=r"settings\.json: hidden: field required; expected .*, train it anew: dvc repro$"
    ):
        read_settings(model_dir, ("pxrd",))


def test_a_model_from_before_transforms_had_their_name_is_told(tmp_path: Path) -> None:
    model_dir = shutil.copytree(trained().directory, tmp_path / "model")
    settings = json.loads((model_dir / "settings.json").read_text())
    settings["modalities"]["pxrd"]["views"] = settings["modalities"]["pxrd"].pop("transform")
    (model_dir / "settings.json").write_text(json.dumps(settings))

    with pytest.raises(UserError, match=r"settings\.json: transform is missing; .*, train it anew: dvc repro$"):
        read_settings(model_dir, ("pxrd",))


def test_a_bundle_of_another_format_is_refused(tmp_path: Path) -> None:
    bundle_dir = shutil.copytree(bundle(), tmp_path / "bundle")
    model = json.loads((bundle_dir / "model.json").read_text())
    (bundle_dir / "model.json").write_text(json.dumps(model | {"format": 7}))

    with pytest.raises(UserError, match=r"model\.json: the format is 7, expected 3"):
        Searcher(bundle_dir)


def test_materials_of_any_size_come_out_in_their_order() -> None:
    embedder = searcher(EVERYTHING).embedder
    index = np.arange(9)[::-1].copy()
    from matbind.modalities.store import Store

    store = Store(real_features() / "text")

    vectors = embedder.embed_store("text", store, index)

    one_by_one = np.concatenate([embedder.embed_store("text", store, index[i : i + 1]) for i in range(9)])
    np.testing.assert_allclose(vectors, one_by_one, atol=1e-5)


def test_a_language_model_is_carried_without_pickle(tmp_path: Path) -> None:
    features, model_dir, out = (tmp_path / name for name in ("features", "model", "out"))
    shutil.copytree(real_features(), features)
    shutil.copytree(trained("text").directory, model_dir)
    manifest = json.loads((features / "text" / MANIFEST).read_text())
    manifest["meta"]["checkpoint"] = str(save_tiny_bert(tmp_path / "checkpoint"))
    (features / "text" / MANIFEST).write_text(json.dumps(manifest))

    write_bundle(trained("text").combination, model_dir=model_dir, features=features, out=out)

    assert json.loads((out / MODEL).read_text())["metas"]["text"]["checkpoint"] == "checkpoint"
    suffixes = {path.suffix for path in (out / "checkpoint").iterdir()}
    assert ".safetensors" in suffixes
    assert suffixes <= {".json", ".safetensors", ".txt"}


def test_a_missing_store_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished feature store is here, run the featurize stage first"):
        write_bundle(trained().combination, model_dir=trained().directory, features=tmp_path, out=tmp_path / "out")
