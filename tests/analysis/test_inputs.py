from __future__ import annotations

import pytest

from matbind.analysis.task import UnavailableError
from matbind.base.errors import UserError
from matbind.base.files import write_json
from tests.analysis.world import inputs_of, write_models
from tests.factories import needs_sample

pytestmark = needs_sample


def test_why_a_combination_is_missing(tmp_path):
    write_models(tmp_path, only=["crystal", "dos", "text"])
    write_json(tmp_path / "metrics" / "pxrd.json", {"combination": "pxrd", "error": "out of memory"})
    write_json(tmp_path / "models/dos/seed-0/trained.json", {"fingerprint": "another"})

    inputs = inputs_of(tmp_path)

    assert list(inputs.combinations) == ["crystal", "text"]
    assert inputs.missing["pxrd"] == "its training failed: out of memory"
    assert inputs.missing["crystal+dos"] == "it was not trained"
    assert inputs.missing["dos"].endswith("does not hold the model that its metrics are of")
    with pytest.raises(UnavailableError, match="pxrd: its training failed: out of memory"):
        inputs.require("pxrd")


def test_nothing_trained_is_a_mistake_of_the_users(tmp_path):
    with pytest.raises(UserError, match="no combination can be analysed, the first because it was not trained"):
        inputs_of(tmp_path)


def test_test_embeddings_lie_in_the_order_of_the_index(inputs):
    vectors = inputs.embeddings("crystal")["crystal"][inputs.test]
    assert abs(vectors - inputs.test_embeddings("crystal")["crystal"]).max() < 0.01  # half precision


def test_views_are_no_modalities(inputs):
    assert list(inputs.test_modalities("dos")) == ["dos"]
