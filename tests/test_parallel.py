from __future__ import annotations

from collections.abc import Iterator

import pytest

from matbind.parallel import AHEAD, processes


def _square(x: int) -> int:
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x * x


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    with processes(workers) as pool:
        assert list(pool.map(_square, range(20))) == [x * x for x in range(20)]


def test_items_are_drawn_only_a_few_ahead() -> None:
    drawn = []

    def items() -> Iterator[int]:
        for x in range(100):
            drawn.append(x)
            yield x

    with processes(2) as pool:
        results = pool.map(_square, items())
        next(results)
        assert len(drawn) == 2 * AHEAD + 1
        list(results)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_reaches_the_caller(workers: int) -> None:
    with processes(workers) as pool, pytest.raises(ValueError, match="-1 is negative"):
        list(pool.map(_square, [1, -1, 2]))
