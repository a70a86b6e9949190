from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matbind.base.errors import UserError
from matbind.data.featurize import read_split
from matbind.training.embeddings import read_embeddings, read_test_embeddings, require_same_materials
from tests.factories import needs_sample, real_features
from tests.serving.trained import trained

pytestmark = needs_sample


def index_with(changes: pl.Expr, directory: Path) -> Path:
    """The index of the features with a column changed."""
    pl.read_parquet(real_features() / "index.parquet").with_columns(changes).write_parquet(directory / "index.parquet")
    return directory


def test_the_test_split_is_a_part_of_all() -> None:
    everything, test = read_embeddings(trained().directory), read_test_embeddings(trained().directory)
    rows = read_split(real_features(), "test")

    assert everything.keys() == test.keys()
    for name, stored in test.items():
        np.testing.assert_allclose(everything[name][rows], stored, atol=1e-3)


def test_what_a_material_lacks_is_not_a_number() -> None:
    embeddings = read_embeddings(trained().directory)["dos"]
    present = np.isfinite(embeddings).all(axis=1)

    assert 0 < present.sum() < len(present)
    assert np.isnan(embeddings[~present]).all()
    np.testing.assert_allclose(np.linalg.norm(embeddings[present], axis=1), 1, atol=1e-3)


def test_a_single_has_two_transforms_of_the_test_split() -> None:
    directory = trained("text").directory
    embeddings = read_test_embeddings(directory)

    assert set(embeddings) == {"text", "text.view0", "text.view1"}
    assert not np.allclose(embeddings["text.view0"], embeddings["text.view1"])
    assert set(read_embeddings(directory)) == {"text"}


def test_embeddings_of_the_same_features_are_accepted() -> None:
    require_same_materials(trained().directory, real_features())


def test_embeddings_of_other_materials_are_refused(tmp_path: Path) -> None:
    other = index_with(pl.col("material_id") + "x", tmp_path)

    with pytest.raises(UserError, match=r"/embeddings.npz: found \d+ materials that are not the \d+ of .*, expected"):
        require_same_materials(trained().directory, other)


def test_an_evaluation_of_another_split_is_refused(tmp_path: Path) -> None:
    other = index_with(pl.col("split").replace({"validation": "test"}), tmp_path)

    with pytest.raises(UserError, match=r"/test_embeddings.npz: found \d+ materials .* run the ablate stage again$"):
        require_same_materials(trained().directory, other)


def test_a_model_that_was_trained_on_others_is_not_registered(tmp_path: Path) -> None:
    from matbind.serving.bundle import write_bundle

    features = tmp_path / "features"
    shutil.copytree(real_features(), features)
    index_with(pl.col("split").replace({"validation": "test"}), features)

    with pytest.raises(UserError, match="run the ablate stage again"):
        write_bundle(trained().combination, model_dir=trained().directory, features=features, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
