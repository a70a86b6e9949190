"""The two servers of the Materials Project, asked with patience: its REST interface and its object store.

Structures and properties come from the summary route, page by page or by lists of ids, and descriptions from that of
Robocrystallographer's texts. A density of states comes in two
steps, as in mp-api's `get_dos_from_material_id`: the electronic-structure route names the calculation, and a Delta Lake
table in a public S3 bucket, without a key, holds its energies and densities. mp-api asks that table for one calculation
at a time, which takes seconds each because every query reads the heads of many files; here one query fetches many
neighbours in the order of the table's identifiers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import MaxRetryError
from urllib3.util import Retry

from matbind.base.errors import UserError
from matbind.data.sources.materials_project.query import Query

Result = TypeVar("Result")

ENDPOINT = "https://api.materialsproject.org/"
SUMMARY, ELECTRONIC_STRUCTURE = "materials/summary/", "materials/electronic_structure/"
ROBOCRYS = "materials/robocrys/"
FIELDS = ("material_id", "structure", "band_gap", "formation_energy_per_atom", "energy_above_hull")
THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
DOS_TABLE = "s3a://materialsproject-parsed/core/electronic-structure/total-dos/"
IDENTIFIER_LENGTH = 8  # of a calculation in that table: letters, filled up with a's
KEPT = "what has come so far is kept, and the same call goes on from there"
LENGTH_OF_REASON = 300
TIMEOUT_S = (20.0, 120.0)  # to connect, and between two packets: a large page takes the server a while
LONGEST_RETRY_AFTER_S = 900.0
ATTEMPTS_OF_A_PIECE = 2  # of a batch that failed in all attempts and is halved to find out which material it was


class UnavailableError(Exception):
    """What was asked for could not be had in all attempts, or the server will not give it; the text says why."""


class TornError(Exception):
    """An answer that came but cannot be used, such as one that is cut off; the next one may be whole."""


class Patience(Retry):
    """Retries that are logged, and that leave a pause of more than a quarter of an hour to the user."""

    log: Callable[[str], None] = staticmethod(lambda _: None)

    def increment(self, method: Any = None, url: Any = None, response: Any = None, *rest: Any, **more: Any) -> Self:
        """Count an attempt that failed; see `urllib3.util.Retry.increment`, also for the error after the last one."""
        if response is not None and (self.get_retry_after(response) or 0.0) > LONGEST_RETRY_AFTER_S:
            raise MaxRetryError(None, url)  # type: ignore[arg-type]  # there is no pool to name
        later = super().increment(method, url, response, *rest, **more)
        later.log = self.log
        attempt, last = len(later.history) + 1, later.history[-1]
        cause = f"HTTP {last.status}" if last.status else _one_line(last.error)
        self.log(f"{urlsplit(url).path}: {cause}; attempt {attempt} of {attempt + int(later.total or 0)}")
        return later


PATIENCE = Patience(
    total=6,
    backoff_factor=2.0,
    backoff_jitter=2.0,
    status_forcelist=(HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600)),
    allowed_methods=("GET",),
    raise_on_status=False,
)
"""A request is tried seven times: after 429, 5xx and errors of the connection. The first pause is none, the second 4 s,
and each further one twice as long up to two minutes, with a jitter; one that the server asks for takes its place."""


class Client:
    """Both servers, with the key, the addresses and the patience of one download."""

    def __init__(self, key: str, *, endpoint: str | None, dos_endpoint: str | None, log: Callable[[str], None]) -> None:
        """Prepare; nothing is asked yet. An address that is None is the public one; `log` is told of failed attempts.

        Raises:
            UserError: if a library is not installed, or the key would travel unencrypted.
        """
        try:
            import deltalake  # noqa: F401
            import emmet.core  # noqa: F401
        except ImportError as error:
            raise UserError(
                f"{error.name} is not installed, expected it for downloads: pip install 'matbind[materials-project]'"
            ) from error
        self.endpoint = (endpoint or os.environ.get("MP_API_ENDPOINT") or ENDPOINT).rstrip("/") + "/"
        address = urlsplit(self.endpoint)
        if address.scheme != "https" and address.hostname not in THIS_MACHINE:
            raise UserError(f"endpoint is {self.endpoint}, expected an https address: the key must not travel openly")
        self._dos_endpoint = dos_endpoint
        self._key = key
        retries = PATIENCE.new()
        retries.log = lambda text: log(self._redacted(text))
        self._adapter = HTTPAdapter(max_retries=retries)
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, self._adapter)
        self._session.headers["x-api-key"] = key
        self._tables: Any = None

    def database_version(self) -> str:
        """Return the version of the database, by the one request that needs no key.

        Raises:
            UserError: if the server does not answer in all attempts.
        """
        try:
            version = self._get("heartbeat", {}).get("db_version")
        except UnavailableError as error:
            raise UserError(
                f"{self.endpoint}: the Materials Project does not answer ({error}), expected it to; {KEPT}"
            ) from None
        if not isinstance(version, str) or not version:
            raise UserError(f"{self.endpoint}heartbeat: found no db_version, expected a Materials Project interface")
        return version

    def page(self, query: Query, number: int, *, size: int) -> tuple[list[str], int]:
        """Return the ids on one page of a query, from 1, in their order, and how many all pages hold.

        The pages of a query with `material_ids` are slices of these.
        """
        slice_of_ids = query.material_ids[(number - 1) * size : number * size]
        if slice_of_ids:
            parameters = {"material_ids": _joined(slice_of_ids), "_limit": size}
        else:
            parameters = {"_page": number, "_per_page": size, "_limit": size, "_sort_fields": "material_id"}
        answer = self._get(SUMMARY, query.parameters() | parameters | {"_fields": "material_id"})
        ids = [str(document["material_id"]) for document in answer["data"] if document.get("material_id")]
        if slice_of_ids:
            return ids, len(query.material_ids)
        total = int((answer.get("meta") or {}).get("total_doc", len(ids)))
        expected = min(size, total - (number - 1) * size)
        if len(ids) < expected:
            raise UnavailableError(f"the page holds {len(ids)} ids, expected {expected}")
        return ids, total

    def documents(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return structure and properties of the materials that the server has, by id as given."""
        return self._by_id(SUMMARY, ids, {"deprecated": False, "_fields": ",".join(FIELDS)})

    def descriptions(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return the text of each of the materials that have one."""
        documents = self._by_id(ROBOCRYS, ids, {"_fields": "material_id,description"})
        return {name: document.get("description") for name, document in documents.items()}

    def dos_tasks(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the id of the calculation of the density of states, for the materials that have one."""
        documents = self._by_id(ELECTRONIC_STRUCTURE, ids, {"_fields": "material_id,dos.task_id"})
        tasks = {name: (document.get("dos") or {}).get("task_id") for name, document in documents.items()}
        return {name: str(task) for name, task in tasks.items() if task}

    def dos_rows(self, identifiers: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return rows of the table of total densities of states, by identifier, for those that it holds."""
        names = sorted(set(identifiers))
        listed = ", ".join(f"'{name}'" for name in names)
        # The engine skips parts of files by such bounds, but not by a long list.
        condition = f"identifier >= '{names[0]}' AND identifier <= '{names[-1]}' AND identifier IN ({listed})"
        return {row["identifier"]: row for row in self._query_table(condition)}

    def check_dos_table(self) -> None:
        """Make sure that the table of densities of states as a whole is there; raise UserError if it is not."""
        self._tables = None
        try:
            self._query_table("FALSE")
        except UnavailableError as error:
            raise UserError(
                f"{self._dos_endpoint or 'the public object store'}: the densities of states cannot be read ({error}), "
                f"expected their table; {KEPT}"
            ) from None

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """Make only a few attempts inside the block."""
        retries = self._adapter.max_retries
        self._adapter.max_retries = retries.new(total=min(ATTEMPTS_OF_A_PIECE - 1, int(retries.total or 0)))
        try:
            yield
        finally:
            self._adapter.max_retries = retries

    def _by_id(self, route: str, ids: Sequence[str], parameters: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return documents by the ids as asked for; a server may write one in its numeric or its alphabetic form."""
        answer = self._get(route, {"material_ids": _joined(ids), "_limit": len(ids)} | parameters)
        names = {_numeric(name): name for name in ids}
        documents: dict[str, dict[str, Any]] = {}
        for document in answer["data"]:
            try:
                documents[names[_numeric(str(document["material_id"]))]] = document
            except (ValueError, KeyError, TypeError):
                continue  # a document that does not say what it is about, or one nobody asked for
        return documents

    def _get(self, route: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Ask the REST interface; raise UserError for a refused key, UnavailableError for want of a usable answer."""
        return self._until_whole(f"/{route}", lambda: self._answer(route, parameters))

    def _answer(self, route: str, parameters: dict[str, Any]) -> dict[str, Any]:
        url = self.endpoint + route
        try:
            # An answer that leads elsewhere is not followed: the key would go there too.
            response = self._session.get(url, params=parameters, timeout=TIMEOUT_S, allow_redirects=False)
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
            raise TornError(f"/{route}: {self._plain(error)}") from None
        except requests.RequestException as error:
            raise UnavailableError(f"/{route}: {self._plain(error)}") from None
        status = response.status_code
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise UserError(
                f"the Materials Project refuses the API key (HTTP {status}), expected a valid one in MP_API_KEY; "
                "yours is shown at https://next-gen.materialsproject.org/api after logging in"
            )
        reason = f"/{route}: HTTP {status} {self._redacted(response.text)[:LENGTH_OF_REASON]}".strip()
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise UserError(
                f"the Materials Project asks to slow down ({reason}), expected an answer after all attempts; what has "
                "come so far is kept, call again later"
            )
        if status != HTTPStatus.OK:
            raise UnavailableError(reason)
        try:
            body = response.json()
        except ValueError as error:
            raise TornError(f"/{route}: the answer is no JSON ({error})") from None
        if not isinstance(body, dict) or not isinstance(body.setdefault("data", []), list):
            raise TornError(f"/{route}: the answer holds no list of documents")
        return body

    def _query_table(self, condition: str) -> list[dict[str, Any]]:
        import pyarrow as pa

        def query() -> list[dict[str, Any]]:
            try:
                self._tables = self._tables or self._open_table()
                batches = self._tables.execute(f"SELECT * FROM total_dos WHERE {condition}").read_all()  # noqa: S608
            except Exception as error:  # noqa: BLE001  # the engine raises whatever its parts raise
                self._tables = None  # files of an older state of the table may be gone: open it anew
                raise TornError(f"densities of states: {self._plain(error)}") from None
            rows: list[dict[str, Any]] = pa.table(batches).to_pylist(maps_as_pydicts="strict")
            return rows

        return self._until_whole("densities of states", query)

    def _open_table(self) -> Any:
        from deltalake import DeltaTable, QueryBuilder

        options = {"AWS_SKIP_SIGNATURE": "true", "AWS_REGION": "us-east-1", "timeout": "120s"}
        if self._dos_endpoint is not None:
            options["AWS_ENDPOINT_URL"] = self._dos_endpoint
            options["AWS_ALLOW_HTTP"] = str(urlsplit(self._dos_endpoint).scheme == "http").lower()
        return QueryBuilder().register("total_dos", DeltaTable(DOS_TABLE, storage_options=options))

    def _until_whole(self, name: str, call: Callable[[], Result]) -> Result:
        """Call again, by the rules of the session, while the answers are torn."""
        retries = self._adapter.max_retries
        while True:
            try:
                return call()
            except TornError as error:
                try:
                    retries = retries.increment("GET", name, error=error)
                except MaxRetryError:
                    raise UnavailableError(str(error)) from None
            retries.sleep()

    def _plain(self, error: Exception) -> str:
        return self._redacted(_one_line(error))[:LENGTH_OF_REASON]

    def _redacted(self, text: str) -> str:
        return text.replace(self._key, "[key]")


def identifier(calculation: str) -> str:
    """Write the id of a calculation in the eight letters of the table; raise ValueError if it is none."""
    from emmet.core.mpid import AlphaID

    letters = str(AlphaID(calculation.rsplit("-", maxsplit=1)[-1], padlen=IDENTIFIER_LENGTH))
    if not letters.isalpha():
        raise ValueError(f"{calculation!r} is no id of a calculation")
    return letters


def _numeric(material_id: str) -> str:
    """Return an id in its numeric form, such as mp-149; raise ValueError if it is none."""
    from emmet.core.mpid import validate_identifier

    parsed = validate_identifier(material_id)
    return str(getattr(parsed, "string", parsed))


def _joined(ids: Sequence[str]) -> str:
    return ",".join(map(_numeric, ids))


def _one_line(error: Exception | None) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
