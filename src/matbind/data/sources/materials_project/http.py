"""How the Materials Project is asked: with patience, the key never shown, local addresses without a proxy."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests

from matbind.base.errors import UserError

Result = TypeVar("Result")

LONGEST_RETRY_AFTER_S = 900.0
TIMEOUT_S = (20.0, 120.0)  # to connect, and between two packets: a large page takes the server a while
HEAD_OF_REASON = 200


class TransientError(Exception):
    """Something that may pass: the same request may succeed a little later."""

    def __init__(self, reason: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after_s = retry_after_s


class UnavailableError(Exception):
    """What was asked for could not be had in all attempts, or the server will not give it; the text says why."""

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(slots=True)
class Backoff:
    """Exponential back-off with jitter.

    Attributes:
        attempts: tries of one request before it counts as failed.
        first_s: longest pause before the second attempt; it doubles with every further one.
        longest_s: no pause is longer, but for one that the server asks for.
        sleep: waits the seconds it is given.
        draw: a number in [0, 1); a pause lies between one half and the whole of its limit.
        log: is told of every pause.
    """

    attempts: int = 7
    first_s: float = 2.0
    longest_s: float = 120.0
    sleep: Callable[[float], None] = time.sleep
    draw: Callable[[], float] = random.random
    log: Callable[[str], None] = field(default=lambda _: None)

    def run(self, call: Callable[[], Result]) -> Result:
        """Call until it succeeds.

        Raises:
            UnavailableError: the last attempt failed too, or the server wants a pause that is too long.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return call()
            except TransientError as error:
                pause_s = self.pause_s(attempt, error.retry_after_s)
                if attempt == self.attempts or pause_s > LONGEST_RETRY_AFTER_S:
                    raise UnavailableError(str(error), status=error.status) from None
                self.log(f"{error}; attempt {attempt + 1} of {self.attempts} in {pause_s:.1f} s")
                self.sleep(pause_s)
        raise ValueError(f"attempts is {self.attempts}, expected at least 1")

    @contextmanager
    def limited(self, attempts: int) -> Iterator[None]:
        """Make at most that many attempts inside the block."""
        before = self.attempts
        self.attempts = min(attempts, before)
        try:
            yield
        finally:
            self.attempts = before

    def pause_s(self, attempt: int, retry_after_s: float | None) -> float:
        """Seconds to wait after the given attempt; never less than the server asked for."""
        limit_s: float = min(self.longest_s, self.first_s * 2 ** (attempt - 1))
        own_s = limit_s * (1 + self.draw()) / 2
        return own_s if retry_after_s is None else retry_after_s + own_s / 4


class Session(requests.Session):
    """A session that tries again by itself, for the Materials Project's client to use instead of its own.

    The client's own session follows the shortest of rules (three quick retries, none for 500 or for an answer that is
    cut off) and hides the status of what failed in a sentence. SerialPool every answer is read whole and must be JSON.
    """

    def __init__(self, key: str, backoff: Backoff) -> None:
        super().__init__()
        self._key = key
        self._backoff = backoff
        self.headers["x-api-key"] = key
        self.n_documents = 0  # of all pages of the latest query; the client drops this when it unpacks a page

    def request(self, method: str, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request; see `requests.Session.request`.

        Raises:
            UserError: the key is refused.
            UnavailableError: every attempt failed.
        """
        kwargs["timeout"] = TIMEOUT_S
        return self._backoff.run(lambda: self._once(method, url, *args, **kwargs))

    def rebuild_auth(self, prepared_request: Any, response: requests.Response) -> None:
        """Leave the key behind when an answer leads to another host."""
        if self.should_strip_auth(response.request.url or "", prepared_request.url):
            prepared_request.headers.pop("x-api-key", None)
        super().rebuild_auth(prepared_request, response)

    def _once(self, method: str, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        path = urlsplit(str(url)).path
        try:
            response = super().request(method, url, *args, **kwargs)
        except requests.RequestException as error:
            raise TransientError(self._plain(f"{path}: {_cause(error)}")) from None
        status = response.status_code
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise UserError(
                f"the Materials Project refuses the API key (HTTP {status}), expected a valid one in MP_API_KEY; "
                "yours is shown at https://next-gen.materialsproject.org/api after logging in"
            )
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            reason = self._plain(f"{path}: HTTP {status} {response.text[:HEAD_OF_REASON]}".strip())
            pause_s = retry_after_s(response.headers.get("Retry-After"))
            raise TransientError(reason, status=status, retry_after_s=pause_s)
        if response.ok:
            self._check(response, path)
        return response

    def _check(self, response: requests.Response, path: str) -> None:
        try:
            body = json.loads(response.content)
        except ValueError as error:
            raise TransientError(f"{path}: the answer is no JSON ({error})") from None
        if not isinstance(body, dict) or not isinstance(body.get("data", []), list):
            raise TransientError(f"{path}: the answer holds no list of documents")
        total = (body.get("meta") or {}).get("total_doc")
        self.n_documents = total if isinstance(total, int) else len(body.get("data", []))

    def _plain(self, text: str) -> str:
        return redacted(text, self._key)


def retry_after_s(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, given as seconds or as a date; None without a readable one."""
    if header is None:
        return None
    try:
        return max(float(header), 0.0)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def redacted(text: str, key: str) -> str:
    """The text without the key."""
    return text.replace(key, "[key]")


@contextmanager
def key_kept(key: str) -> Iterator[None]:
    """Let no exception out whose text, or that of any exception behind it, holds the key."""
    try:
        yield
    except Exception as error:
        if key not in "".join(traceback.format_exception(error)):
            raise
        text = redacted(f"{error}" if isinstance(error, UserError) else f"{type(error).__name__}: {error}", key)
        raise (UserError(text) if isinstance(error, UserError) else RuntimeError(text)) from None


def is_local(address: str) -> bool:
    """Whether an address leads to this machine."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def without_proxy(*addresses: str | None) -> Iterator[None]:
    """Reach those of the addresses that lead to this machine directly, whatever proxy the environment names.

    Three HTTP clients take part (the session above, bare requests inside mp-api, and the one of the table format); what
    they have in common is the environment variable NO_PROXY.
    """
    hosts = {urlsplit(address).hostname or "" for address in addresses if address and is_local(address)}
    before = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
    if hosts:
        own = ",".join(dict.fromkeys([*(value for value in before.values() if value), *sorted(hosts)]))
        os.environ.update(dict.fromkeys(before, own))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _cause(error: requests.RequestException) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= HEAD_OF_REASON else text[:HEAD_OF_REASON] + " ..."
