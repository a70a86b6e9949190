"""The requests of a download, all made by mp-api, and what comes back.

Structures and properties come from the summary route of the REST interface, page by page or by lists of ids. A density
of states comes in two steps, as in mp-api's own `get_dos_from_material_id`: the electronic-structure route names the
calculation, and a Delta Lake table in a public S3 bucket, without a key, holds its energies and densities. mp-api asks
that table for one calculation at a time, which takes seconds each because every query reads the heads of many files;
here one query fetches many neighbours in the order of the table's identifiers, through the same table, the same query
engine and the same document model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from matbind.base.errors import UserError
from matbind.data.sources.materials_project.http import (
    Backoff,
    Session,
    TransientError,
    UnavailableError,
    is_local,
    redacted,
)
from matbind.data.sources.materials_project.query import Query

Result = TypeVar("Result")

FIELDS = ["material_id", "structure", "band_gap", "formation_energy_per_atom", "energy_above_hull"]
DOS_BUCKET = "materialsproject-parsed"
DOS_TABLE = "core/electronic-structure/total-dos/"
IDENTIFIER_LENGTH = 8  # of a calculation in that table: letters, filled up with a's
LENGTH_OF_REASON = 300


class Client:
    """mp-api with the session, the retries and the addresses of one download."""

    def __init__(self, key: str, *, endpoint: str | None, dos_endpoint: str | None, backoff: Backoff) -> None:
        """Prepare; nothing is asked yet.

        Args:
            key: of the user.
            endpoint: address of the REST interface; None for mp-api's own setting.
            dos_endpoint: address of the object store with the densities of states; None for the public one.
            backoff: how to try again.

        Raises:
            UserError: mp-api is not installed, or the key would travel unencrypted.
        """
        try:
            from mp_api.client.core.utils import validate_endpoint
        except ImportError as error:
            raise UserError(
                "mp-api is not installed, expected it for downloads: pip install 'matbind[materials-project]'"
            ) from error
        self.endpoint: str = validate_endpoint(endpoint)
        if urlsplit(self.endpoint).scheme != "https" and not is_local(self.endpoint):
            raise UserError(f"endpoint is {self.endpoint}, expected an https address: the key must not travel openly")
        self.backoff = backoff
        self._dos_endpoint = dos_endpoint
        self._key = key
        self._session = Session(key, backoff)
        self._rester: Any = None

    def database_version(self) -> str:
        """The version of the database, by the one request that needs no key.

        Raises:
            UserError: the server does not answer in all attempts.
        """
        try:
            body = self._session.get(f"{self.endpoint}heartbeat").json()
        except UnavailableError as error:
            raise UserError(
                f"{self.endpoint}: the Materials Project does not answer ({error}), expected it to; what has come so "
                "far is kept, and the same call goes on from there"
            ) from None
        version = body.get("db_version")
        if not isinstance(version, str) or not version:
            raise UserError(f"{self.endpoint}heartbeat: found no db_version, expected a Materials Project interface")
        return version

    def page(self, query: Query, number: int, *, size: int) -> tuple[list[str], int]:
        """Ids of the query's materials on one page, in the order of ids, and how many there are on all pages.

        Args:
            query: what to look for; the pages of one with `material_ids` are slices of these.
            number: of the page, from 1.
            size: materials a page.
        """
        arguments = query.search_arguments()
        asked = query.material_ids[(number - 1) * size : number * size]
        if asked:
            arguments["material_ids"] = list(asked)
        else:
            arguments |= {"_page": number, "_sort_fields": "material_id"}
        documents = self._ask(lambda: self._summary(arguments, ["material_id"], size))
        ids = [str(document["material_id"]) for document in documents if document.get("material_id")]
        if asked:
            return ids, len(query.material_ids)
        total = self._session.n_documents
        expected = min(size, total - (number - 1) * size)
        if len(ids) < expected:
            raise UnavailableError(f"the page holds {len(ids)} ids, expected {expected}")
        return ids, total

    def documents(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Structure and properties of the materials that the server has, by id as given."""
        arguments = {"material_ids": list(ids), "deprecated": False}
        return _by_id(ids, self._ask(lambda: self._summary(arguments, FIELDS, len(ids))))

    def dos_tasks(self, ids: Sequence[str]) -> dict[str, str]:
        """The id of the calculation of the density of states, for the materials that have one."""
        fields = ["material_id", "dos.task_id"]
        documents = self._ask(
            lambda: self._mp().materials.electronic_structure.search(
                material_ids=list(ids), fields=fields, all_fields=False, num_chunks=1, chunk_size=len(ids)
            )
        )
        found = {own: (document.get("dos") or {}).get("task_id") for own, document in _by_id(ids, documents).items()}
        return {own: str(task) for own, task in found.items() if task}

    def dos_rows(self, identifiers: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Rows of the table of total densities of states, by identifier; what is not in the table is left out."""
        names = sorted(set(identifiers))
        listed = ", ".join(f"'{name}'" for name in names)
        # The engine skips parts of files by such bounds, but not by a long list.
        condition = f"identifier >= '{names[0]}' AND identifier <= '{names[-1]}' AND identifier IN ({listed})"
        return {row["identifier"]: row for row in self._ask_table(condition)}

    def check_interface(self) -> None:
        """Make sure that the server as a whole is there.

        Raises:
            UserError: it is not.
        """
        self.database_version()

    def check_dos_table(self) -> None:
        """Make sure that the table of densities of states as a whole is there.

        Raises:
            UserError: it is not.
        """
        self._rester = None
        try:
            self._ask_table("FALSE")
        except UnavailableError as error:
            raise UserError(
                f"{self._dos_endpoint or 'the public object store'}: the densities of states cannot be read ({error}), "
                "expected their table; what has come so far is kept, and the same call goes on from there"
            ) from None

    def _summary(self, arguments: dict[str, Any], fields: list[str], size: int) -> Any:
        return self._mp().materials.summary.search(
            **arguments, fields=fields, all_fields=False, num_chunks=1, chunk_size=size
        )

    def _ask_table(self, condition: str) -> list[dict[str, Any]]:
        def query() -> list[dict[str, Any]]:
            try:
                rester = self._mp().materials.electronic_structure_dos
                self._open_table(rester.query_builder)
                label, _ = rester._get_delta_table(DOS_BUCKET, DOS_TABLE, label="total_dos")  # noqa: SLF001
                table = rester._query_delta_single(f"SELECT * FROM {label} WHERE {condition}")  # noqa: S608, SLF001
            except (UserError, UnavailableError):
                raise
            except Exception as error:  # noqa: BLE001  # the engine raises whatever its parts raise
                self._rester = None  # files of an older state of the table may be gone: open it anew
                raise TransientError(f"densities of states: {self._plain(error)}") from None
            rows: list[dict[str, Any]] = table.to_pylist(maps_as_pydicts="strict")
            return rows

        return self.backoff.run(query)

    def _ask(self, call: Callable[[], Result]) -> Result:
        from mp_api.client.core.exceptions import MPRestError

        try:
            return call()
        except (MPRestError, TypeError, KeyError, AttributeError, ValueError) as error:
            raise UnavailableError(self._plain(error)) from None

    def _mp(self) -> Any:
        if self._rester is None:
            self._rester = self.backoff.run(self._connected)
        return self._rester

    def _connected(self) -> Any:
        """A client of mp-api; it asks for the heartbeat by bare requests that know no retries."""
        import requests
        from mp_api.client import MPRester
        from mp_api.client.core.exceptions import MPRestError

        try:
            return MPRester(
                api_key=self._key,
                endpoint=self.endpoint,
                session=self._session,
                use_document_model=False,
                mute_progress_bars=True,
            )
        except (requests.RequestException, MPRestError, KeyError, ValueError) as error:
            raise TransientError(f"heartbeat: {self._plain(error)}") from None

    def _open_table(self, builder: Any) -> None:
        """Open the table at an address of our own, once: mp-api takes one that its query builder holds already."""
        from deltalake import DeltaTable

        if self._dos_endpoint is None or builder._delta_tables:  # noqa: SLF001
            return
        options = {
            "AWS_ENDPOINT_URL": self._dos_endpoint,
            "AWS_ALLOW_HTTP": str(urlsplit(self._dos_endpoint).scheme == "http").lower(),
            "AWS_SKIP_SIGNATURE": "true",
            "AWS_REGION": "us-east-1",
            "timeout": "120s",
        }
        builder.register("total_dos", DeltaTable(f"s3a://{DOS_BUCKET}/{DOS_TABLE}", storage_options=options))

    def _plain(self, error: Exception) -> str:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return redacted(text, self._key)[:LENGTH_OF_REASON]


def identifier(calculation: str) -> str:
    """How the table of densities of states writes the id of a calculation: eight letters.

    Raises:
        ValueError: it is no such id.
    """
    from emmet.core.mpid import AlphaID

    found = str(AlphaID(calculation.rsplit("-", maxsplit=1)[-1], padlen=IDENTIFIER_LENGTH))
    if not found.isalpha():
        raise ValueError(f"{calculation!r} is no id of a calculation")
    return found


def _by_id(ids: Sequence[str], documents: Any) -> dict[str, Any]:
    """Documents by the ids that were asked for; the server may write an id in its numeric or its alphabetic form."""
    from mp_api.client.core.utils import validate_ids

    own = dict(zip(validate_ids(list(ids)), ids, strict=True))
    found: dict[str, Any] = {}
    for document in documents:
        try:
            (name,) = validate_ids([str(document["material_id"])])
        except (ValueError, KeyError, TypeError):
            continue  # a document that does not say what it is about
        if name in own:
            found[own[name]] = document
    return found
