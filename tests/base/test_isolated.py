from __future__ import annotations

import os
import signal
import time
from functools import partial

import pytest

from matbind.base.errors import UserError
from matbind.base.isolated import Failure, Isolated


def half(number: int) -> float:
    if number < 0:
        raise ValueError(f"{number} is below 0")
    return number / 2


def die_of(number: int) -> None:
    os.kill(os.getpid(), number)


def loud(number: int) -> int:
    os.write(1, b"this would be read as an answer\n" * number)
    return number


def lack(_number: int) -> None:
    raise UserError("a library is not installed")


def surroundings(_number: int) -> tuple[str, ...]:
    return tuple(os.environ[name] for name in ("OMP_NUM_THREADS", "PYTHONHASHSEED"))


class Unimportable:
    def __call__(self, _number: int) -> None:
        """Is never called."""

    def __reduce__(self):
        return os._exit, (5,)


@pytest.fixture
def isolated():
    """A maker of isolated workers, which ends their processes after the test."""
    made = []

    def make(function, *, time_limit_s=60.0):
        made.append(Isolated(function, time_limit_s=time_limit_s))
        return made[-1]

    yield make
    for worker in made:
        worker.close()


def test_results_and_failures_come_from_one_process(isolated):
    work = isolated(half)
    assert [work(4), work(-1), work(5)] == [2.0, Failure("ValueError: -1 is below 0"), 2.5]


def test_what_takes_too_long_is_ended_and_the_next_item_is_worked_on(isolated):
    work = isolated(time.sleep, time_limit_s=1.0)
    assert work(600) == Failure("It took longer than 1 s.")
    assert work(0) is None


@pytest.mark.parametrize(("number", "name"), [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGKILL, "SIGKILL")])
def test_a_process_that_dies_costs_one_item(isolated, number, name):
    work = isolated(die_of)
    assert work(number) == Failure(f"The process that worked on it died ({name}).")
    assert work(0) is None  # signal 0 kills nobody


def test_what_a_library_prints_is_no_answer(isolated, capfd):
    assert isolated(loud)(3) == 3
    assert capfd.readouterr().out == ""


def test_a_users_mistake_is_raised_here(isolated):
    with pytest.raises(UserError, match="a library is not installed"):
        isolated(lack)(1)


def test_it_works_with_one_thread_and_a_fixed_hash_seed(isolated):
    assert isolated(surroundings)(0) == ("1", "0")


def test_a_process_that_does_not_start_is_no_failure_of_the_item(isolated):
    with pytest.raises(RuntimeError, match=r"did not start \(exit code 5\)"):
        isolated(Unimportable())(1)


def test_arguments_of_a_partial_function_go_along(isolated):
    assert isolated(partial(divmod, 7))(2) == (3, 1)
