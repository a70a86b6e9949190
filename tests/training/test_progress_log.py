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


def _validated(epoch: int, *, seconds: float = 0.0) -> dict[str, float]:
    return {"epoch": float(epoch), "loss": 2.5, "validation_recall_at_1": 0.25, "seconds": seconds}


def test_a_validated_epoch_is_told(lines: list[str], clock: Clock) -> None:
    progress = ProgressLog(["dos"], epochs=100, log=lines.append, clock=clock)

    progress.epoch("dos", _validated(1))

    assert lines == ["0 of 1 done | dos: epoch 1 of 100, loss 2.500, validation recall@1 0.250"]


def test_an_epoch_without_validation_is_not(lines: list[str], clock: Clock) -> None:
    ProgressLog(["dos"], epochs=10, log=lines.append, clock=clock).epoch(
        "dos", {"epoch": 1.0, "loss": 2.5, "seconds": 1.0}
    )

    assert lines == []


def test_epochs_that_follow_quickly_are_not_told(lines: list[str], clock: Clock) -> None:
    progress = ProgressLog(["dos"], epochs=100, log=lines.append, clock=clock)

    for clock.now in (0.0, 1.0, 6.0):
        progress.epoch("dos", _validated(1))

    assert len(lines) == 2


def test_before_an_end_was_seen_the_time_left_is_a_least_one(lines: list[str], clock: Clock) -> None:
    progress = ProgressLog(["dos", "text"], epochs=10, log=lines.append, clock=clock)
    clock.now = 100.0
    progress.epoch("dos", _validated(1, seconds=20))
    clock.now = 180.0
    progress.epoch("dos", _validated(5, seconds=100))

    assert " left" not in lines[0]  # how much of the 100 s was the start is not known
    # four epochs took 80 s, 15 of the 20 are left, and two evaluations
    assert ", at least 5 min left |" in lines[1]


def test_time_left_follows_from_a_training_seen_to_its_end(lines: list[str], clock: Clock) -> None:
    progress = ProgressLog(["dos", "text"], epochs=10, log=lines.append, clock=clock)
    for epoch in range(1, 11):
        clock.now = 10.0 + 5 * epoch
        progress.epoch("dos", _validated(epoch, seconds=5 * epoch))
    clock.now = 90.0
    progress.finish("dos", "test recall@1 view 0.900")

    # 10 s to start, 50 s of training, 30 s of evaluation; the same is left
    assert lines[-1] == "1 of 2 done, about 2 min left | dos: test recall@1 view 0.900"


def test_what_was_done_before_says_nothing_about_speed(lines: list[str], clock: Clock) -> None:
    progress = ProgressLog(["crystal", "dos", "text"], epochs=10, log=lines.append, clock=clock)
    progress.finish("crystal", "done before, kept")
    for clock.now, epoch in ((10.0, 9), (20.0, 10)):  # resumed after epoch 8
        progress.epoch("dos", _validated(epoch, seconds=10 * epoch))
    progress.finish("dos", "test recall@1 view 0.900")

    # two epochs took 20 s, ten of text are left
    assert lines[-1] == "2 of 3 done, about 2 min left | dos: test recall@1 view 0.900"


def test_epochs_that_are_told_again_say_nothing_about_speed(lines: list[str], clock: Clock) -> None:
    progress = ProgressLog(["trial 0", "trial 1"], epochs=4, log=lines.append, clock=clock)
    for epoch in (1, 2, 3, 4):  # on file
        progress.epoch("trial 0", _validated(epoch, seconds=10 * epoch))
    progress.finish("trial 0", "validation recall@1 0.250")

    assert all(" left" not in line for line in lines)


def test_what_ended_early_leaves_nothing_to_do(lines: list[str], clock: Clock) -> None:
    progress = ProgressLog(["trial 0", "trial 1", "trial 2"], epochs=4, log=lines.append, clock=clock)
    for name in ("trial 0", "trial 1"):
        for epoch in (1, 2):
            clock.now += 10.0
            progress.epoch(name, _validated(epoch, seconds=10 * epoch))
        progress.finish(name, "given up after epoch 2")

    # four epochs took 40 s, four of trial 2 are left
    assert lines[-1] == "2 of 3 done, about 40 s left | trial 1: given up after epoch 2"


def test_a_single_modality_costs_two_views() -> None:
    assert [cost(name) for name in ("dos", "crystal+dos", "crystal+dos+pxrd+text")] == [2, 2, 4]
