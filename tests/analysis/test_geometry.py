from __future__ import annotations

import pytest

from matbind.analysis import geometry
from tests.factories import needs_sample

pytestmark = needs_sample


def test_spaces_of_a_pair_and_of_a_single(inputs):
    pair = geometry.space(inputs.request, "crystal+dos")
    assert list(pair["pairs"]) == ["crystal->dos"]
    # Two random vectors of variance 0.09 beside a common one of variance 1: the cosine is about 1 / 1.09.
    assert pair["pairs"]["crystal->dos"]["alignment"] == pytest.approx(2 - 2 / 1.09, abs=0.05)
    single = geometry.space(inputs.request, "text")
    assert list(single["modalities"]) == ["text"]
    assert single["pairs"] == {}
    assert single["modalities"]["text"]["alarm"] == []
