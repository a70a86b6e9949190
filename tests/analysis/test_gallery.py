from __future__ import annotations

import pytest

from matbind.analysis import gallery
from tests.analysis.world import inputs, noisy, write_models
from tests.factories import needs_sample

pytestmark = needs_sample


def test_the_curve_ends_at_the_recall_that_was_evaluated(found):
    told = gallery.by_size(found.request, "crystal+text")["crystal->text"]
    evaluated = found.runs["crystal+text"]["pairs"]["crystal->text"]
    assert told["size"][-1] == told["n"] == evaluated["n"]
    assert told["recall_at_1"][-1] == pytest.approx(evaluated["recall_at_1"])
    assert told["chance_at_1"][-1] == pytest.approx(evaluated["chance_at_1"])


def test_all_materials_make_a_larger_gallery(found):
    told = gallery.by_size(found.request, "crystal+text")["text->crystal"]
    assert told["with_other_splits"]["size"] == len(found.index)
    assert told["with_other_splits"]["recall_at_1"] <= told["recall_at_1"][-1]


def test_a_perfect_model_finds_its_key_in_any_gallery(tmp_path):
    write_models(tmp_path, make=noisy(0.0), only=["crystal+dos"])
    told = gallery.by_size(inputs(tmp_path).request, "crystal+dos")["dos->crystal"]
    assert set(told["recall_at_1"]) == {1.0}
    assert told["with_other_splits"]["recall_at_1"] == 1.0


def test_a_single_is_asked_by_its_views(found):
    told = gallery.by_size(found.request, "pxrd")
    assert list(told) == ["pxrd->pxrd"]
    assert told["pxrd->pxrd"]["kind"] == "view"
    assert "with_other_splits" not in told["pxrd->pxrd"]


def test_the_papers_gallery_is_marked(found):
    assert gallery.assemble(found, {})["paper_gallery_size"] == 8400
