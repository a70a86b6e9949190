from __future__ import annotations

import pytest

from matbind.training.progress_log import ProgressLog, cost


class Clock:
    """Seconds that pass only when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines() -> list[str]:
    return []


def _validated(epoch: int) -> dict[str, float]:
    return {"epoch": float(epoch), "loss": 2.5, "validation_recall_at_1": 0.25}


def test_a_validated_epoch_is_told(lines: list[str], clock: Clock) -> None:
    progress = ProgressLog(["dos"], epochs=100, log=lines.append, clock=clock)

    progress.epoch("dos", _validated(1))

    assert lines == ["0 of 1 done | dos: epoch 1 of 100, loss 2.500, validation recall@1 0.250"]


def test_an_epoch_without_validation_is_not(lines: list[str], clock: Clock) -> None:
    ProgressLog(["dos"], epochs=10, log=lines.append, clock=clock).epoch("dos", {"epoch": 1.0, "loss": 2.5})

    assert lines == []


def test_epochs_that_follow_quickly_are_not_told(lines: list[str], clock: Clock) -> None:
    progress = ProgressLog(["dos"], epochs=100, log=lines.append, clock=clock)

    for clock.now in (0.0, 1.0, 6.0):
        progress.epoch("dos", _validated(1))

    assert len(lines) == 2


def test_time_left_follows_from_the_share_done(lines: list[str], clock: Clock) -> None:
    progress = ProgressLog(["dos", "text"], epochs=10, log=lines.append, clock=clock)
    clock.now = 100.0

    progress.epoch("dos", _validated(1))
    clock.now = 200.0
    progress.epoch("dos", _validated(5))

    # 5 of the 20 epochs took 200 s, 15 are left
    assert "about 10 min left" in lines[-1]


def test_what_was_done_before_says_nothing_about_speed(lines: list[str], clock: Clock) -> None:
    progress = ProgressLog(["crystal", "dos", "text"], epochs=10, log=lines.append, clock=clock)
    progress.finish("crystal", "done before, kept")
    clock.now = 20.0

    for epoch in (9, 10):  # resumed after epoch 8
        progress.epoch("dos", _validated(epoch))
    progress.finish("dos", "test recall@1 view 0.900")

    # two epochs took 20 s, ten of text are left
    assert lines[-1] == "2 of 3 done, about 2 min left | dos: test recall@1 view 0.900"


def test_a_single_modality_costs_two_views() -> None:
    assert [cost(name) for name in ("dos", "crystal+dos", "crystal+dos+pxrd+text")] == [2, 2, 4]
