from __future__ import annotations

from pipelines.tasks import cores_or


def test_as_many_as_asked_or_one_a_core() -> None:
    assert cores_or(7) == 7
    assert cores_or(0) >= 1
