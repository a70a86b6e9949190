from __future__ import annotations

import pytest

from matbind.analysis.task import UnavailableError
from matbind.base.errors import UserError
from matbind.base.files import write_json
from tests.analysis.world import inputs, write_models
from tests.factories import needs_sample

pytestmark = needs_sample


def test_why_a_combination_is_missing(tmp_path):
    write_models(tmp_path, only=["crystal", "dos", "text"])
    write_json(tmp_path / "metrics" / "pxrd.json", {"combination": "pxrd", "error": "out of memory"})
    write_json(tmp_path / "models" / "dos" / "trained.json", {"fingerprint": "another"})

    found = inputs(tmp_path)

    assert list(found.combinations) == ["crystal", "text"]
    assert found.missing["pxrd"] == "its training failed: out of memory"
    assert found.missing["crystal+dos"] == "it was not trained"
    assert found.missing["dos"].endswith("does not hold the model that its metrics are of")
    with pytest.raises(UnavailableError, match="pxrd: its training failed: out of memory"):
        found.require("pxrd")


def test_nothing_trained_is_a_mistake_of_the_users(tmp_path):
    with pytest.raises(UserError, match="no combination can be analysed, the first because it was not trained"):
        inputs(tmp_path)


def test_test_embeddings_lie_in_the_order_of_the_index(found):
    vectors = found.embeddings("crystal")["crystal"][found.test]
    assert abs(vectors - found.test_embeddings("crystal")["crystal"]).max() < 0.01  # half precision


def test_views_are_no_modalities(found):
    assert list(found.test_modalities("dos")) == ["dos"]
