from __future__ import annotations

import pytest

from matbind.analysis import geometry
from tests.factories import needs_sample

pytestmark = needs_sample


def test_spaces_of_a_pair_and_of_a_single(found):
    pair = geometry.space(found.request, "crystal+dos")
    assert list(pair["pairs"]) == ["crystal->dos"]
    # Two random vectors of variance 0.09 beside a common one of variance 1: the cosine is about 1 / 1.09.
    assert pair["pairs"]["crystal->dos"]["alignment"] == pytest.approx(2 - 2 / 1.09, abs=0.05)
    single = geometry.space(found.request, "text")
    assert list(single["modalities"]) == ["text"]
    assert single["pairs"] == {}
    assert single["modalities"]["text"]["alarm"] == []
