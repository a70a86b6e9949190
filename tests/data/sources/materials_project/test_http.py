from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests

from matbind.base.errors import UserError
from matbind.data.sources.materials_project.http import (
    Backoff,
    Session,
    TransientError,
    UnavailableError,
    is_local,
    key_kept,
    retry_after_s,
    without_proxy,
)

KEY = "k3yThatMustNeverBeShown0123456ab"


def _failing(times: int, **options: float) -> tuple[list[int], object]:
    calls: list[int] = []

    def call() -> str:
        calls.append(len(calls) + 1)
        if len(calls) <= times:
            raise TransientError("busy", **options)  # type: ignore[arg-type]
        return "done"

    return calls, call


def test_pauses_double_and_stay_within_their_jitter() -> None:
    low, high = Backoff(draw=lambda: 0.0), Backoff(draw=lambda: 0.999)

    assert [low.pause_s(attempt, None) for attempt in (1, 2, 3)] == [1.0, 2.0, 4.0]
    assert [high.pause_s(attempt, None) for attempt in (1, 2, 3)] == pytest.approx([2.0, 4.0, 8.0], rel=1e-3)


def test_no_pause_is_longer_than_the_longest() -> None:
    assert Backoff(draw=lambda: 0.0, longest_s=30.0).pause_s(50, None) == 15.0


def test_a_pause_is_never_shorter_than_the_server_asks_for() -> None:
    assert Backoff(draw=lambda: 0.0).pause_s(1, 40.0) == 40.25


def test_a_call_is_repeated_until_it_succeeds() -> None:
    pauses: list[float] = []
    calls, call = _failing(2)

    assert Backoff(attempts=3, sleep=pauses.append, draw=lambda: 0.0).run(call) == "done"  # type: ignore[arg-type]
    assert (len(calls), pauses) == (3, [1.0, 2.0])


def test_the_last_attempt_ends_it() -> None:
    pauses: list[float] = []
    calls, call = _failing(9)

    with pytest.raises(UnavailableError, match="busy"):
        Backoff(attempts=3, sleep=pauses.append).run(call)  # type: ignore[arg-type]
    assert (len(calls), len(pauses)) == (3, 2)


def test_attempts_are_limited_inside_a_block_only() -> None:
    backoff = Backoff(attempts=5)

    with backoff.limited(2), backoff.limited(4):
        assert backoff.attempts == 2
    assert backoff.attempts == 5


def test_a_pause_that_is_too_long_is_not_made() -> None:
    calls, call = _failing(9, retry_after_s=901.0)

    with pytest.raises(UnavailableError):
        Backoff(sleep=lambda _: pytest.fail("slept")).run(call)  # type: ignore[arg-type]
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("header", "expected"), [(None, None), ("17", 17.0), ("1.5", 1.5), ("-3", 0.0), ("soon", None), ("", None)]
)
def test_retry_after_in_seconds(header: str | None, expected: float | None) -> None:
    assert retry_after_s(header) == expected


def test_retry_after_as_a_date() -> None:
    header = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

    assert retry_after_s(header) == pytest.approx(60, abs=30)


def test_a_date_that_is_over_asks_for_no_pause() -> None:
    assert retry_after_s("Mon, 13 Apr 2020 00:00:00 GMT") == 0.0


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://127.0.0.1:80/", True),
        ("http://localhost/", True),
        ("http://[::1]:9/", True),
        ("https://api.materialsproject.org/", False),
        ("http://localhost.example.org/", False),
        ("http://10.0.0.1/", False),
        ("no address", False),
    ],
)
def test_local_addresses(address: str, expected: bool) -> None:  # noqa: FBT001
    assert is_local(address) is expected


def test_only_local_addresses_go_without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.setenv("no_proxy", "example.net")

    with without_proxy("http://127.0.0.1:1/", "https://api.materialsproject.org/", None):
        assert os.environ["NO_PROXY"] == "example.org,example.net,127.0.0.1"
        assert os.environ["no_proxy"] == "example.org,example.net,127.0.0.1"
    assert (os.environ["NO_PROXY"], os.environ["no_proxy"]) == ("example.org", "example.net")


def _redirected(to: str) -> dict[str, str]:
    session = Session(KEY, Backoff())
    response = requests.Response()
    response.request = requests.Request("GET", "https://api.materialsproject.org/a").prepare()
    onward = requests.Request("GET", to, headers={"x-api-key": KEY}).prepare()
    session.rebuild_auth(onward, response)
    return dict(onward.headers)


def test_the_key_does_not_follow_to_another_host() -> None:
    assert _redirected("https://elsewhere.example.org/") == {}


def test_the_key_follows_on_the_same_host() -> None:
    assert _redirected("https://api.materialsproject.org/b") == {"x-api-key": KEY}


def test_an_exception_does_not_carry_the_key() -> None:
    with pytest.raises(RuntimeError) as caught, key_kept(KEY):
        raise ValueError(f"bad header {KEY}")

    assert str(caught.value) == "ValueError: bad header [key]"


def _fail_behind() -> None:
    try:
        int(KEY)
    except ValueError as error:
        raise UserError("it failed") from error


def test_an_exception_behind_another_does_not_carry_the_key() -> None:
    with pytest.raises(UserError) as caught, key_kept(KEY):
        _fail_behind()

    assert str(caught.value) == "it failed"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_other_exceptions_pass_as_they_are() -> None:
    with pytest.raises(KeyError), key_kept(KEY):
        raise KeyError("structure")
