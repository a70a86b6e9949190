"""A small Materials Project: its REST interface and its object store, over real HTTP, with faults on demand.

It runs in a process of its own, because the table engine holds the interpreter while it waits for an answer.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.request import ProxyHandler, Request, build_opener
from xml.sax.saxutils import escape

KEY = "k3yThatMustNeverBeShown0123456ab"
VERSION = "2026.04.13"
TABLE = "materialsproject-parsed/core/electronic-structure/total-dos"
MOST_DOCUMENTS = 1000


@dataclass(slots=True)
class Fault:
    """What goes wrong: for requests that fit, so often, and after so many that went well.

    Attributes:
        how: a status, or cut, gzip, garbage, no list, echo, hold.
        path: part of the path.
        fits: parameters and a value each, which must be among those of the request.
    """

    how: str
    path: str = "summary"
    fits: dict[str, str] = field(default_factory=dict)
    times: int = 1_000_000
    after: int = 0
    retry_after: str | None = None

    def concerns(self, path: str, query: dict[str, str]) -> bool:
        """Whether it is about a request."""
        named = all(value in query.get(name, "").split(",") for name, value in self.fits.items())
        return self.path in path and named and self.times > 0


class MaterialsProject:
    """A running server, as a test sees it."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}/"

    def reset(self) -> None:
        """As freshly started."""
        self._tell("reset", {})

    def break_with(self, *faults: Fault) -> None:
        """Let these faults happen, and no others."""
        self._tell("faults", [asdict(fault) for fault in faults])

    def change(self, name: str, **values: Any) -> None:
        """Change a document."""
        self._tell("change", {"name": name, "values": values})

    def name_calculation(self, name: str, task: str) -> None:
        """Say that a material's density of states is of this calculation."""
        self._tell("task", {name: task})

    def describe(self, name: str, text: Any) -> None:
        """Give a material a text."""
        self._tell("text", {name: text})

    def move_on(self, version: str) -> None:
        """Be of another database version."""
        self._tell("version", version)

    def let_go(self) -> None:
        """Answer what is held back."""
        self._tell("go", {})

    def asked(self) -> list[tuple[str, dict[str, str], str | None]]:
        """Path, parameters and key of every request so far."""
        return [tuple(entry) for entry in self._tell("asked", {})]

    def ids_asked(self, field: str = "structure") -> list[str]:
        """Every id that a structure, or another field, was asked for, as often as it was."""
        wanted = [query for _, query, _ in self.asked() if field in query.get("_fields", "").split(",")]
        return [name for query in wanted for name in query["material_ids"].split(",")]

    def is_holding(self) -> bool:
        """Whether a request is held back."""
        return bool(self._tell("holding", {}))

    def _tell(self, what: str, content: Any) -> Any:
        request = Request(f"{self.endpoint}control/{what}", json.dumps(content).encode())  # noqa: S310
        with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
            return json.loads(answer.read())


@contextmanager
def served(directory: Path) -> Iterator[MaterialsProject]:
    """Serve what `write_world` wrote on a free port of this machine."""
    with subprocess.Popen([sys.executable, __file__, str(directory)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield MaterialsProject(int(process.stdout.readline()))
        finally:
            process.kill()


def write_world(directory: Path, *, n: int = 23) -> None:
    """Rock salts of growing lattice constants; every third has no density of states, and every fifth no text."""
    import numpy as np
    import pyarrow as pa
    from deltalake import write_deltalake
    from emmet.core.arrow import arrowize
    from emmet.core.band_theory import ElectronicDos
    from pymatgen.core import Structure

    documents, tasks, texts, rows = {}, {}, {}, []
    for i in range(n):
        name, task = f"mp-{i * 7 + 3}", f"mp-{1000 + i}"
        half_angstrom = 2.5 + i / 20
        lattice = half_angstrom * (1 - np.eye(3))
        crystal = Structure(lattice, ["Na", "Cl" if i % 2 else "F"], [[0, 0, 0], [0.5, 0.5, 0.5]])
        documents[name] = {
            "material_id": name,
            "structure": crystal.as_dict(),
            "nsites": len(crystal),
            "band_gap": i / 4,
            "formation_energy_per_atom": -1.5 - i / 100,
            "energy_above_hull": i / 100,
        }
        if i % 5 != 2:
            texts[name] = (
                f"Na{'Cl' if i % 2 else 'F'} is Halite structured. All Na-F bond lengths are {2.5 + i / 20} Å."
            )
        if i % 3:
            cell = crystal.make_supercell([2, 1, 1], in_place=False) if i == 4 else crystal
            rows.append(_dos(task, cell, i))
            tasks[name] = task
    schema = pa.schema([f for f in pa.schema(arrowize(ElectronicDos)) if f.name != "projected_densities"])
    write_deltalake(str(directory / TABLE), pa.Table.from_pylist(rows, schema=schema), partition_by=["run_type"])
    (directory / "documents.json").write_text(json.dumps(documents))
    (directory / "tasks.json").write_text(json.dumps(tasks))
    (directory / "texts.json").write_text(json.dumps(texts))


def _dos(task: str, cell: Any, i: int) -> dict[str, Any]:
    from emmet.core.mpid import AlphaID

    up = [0.0, 1.0 + i, 2.0, 0.5]
    return {
        "identifier": str(AlphaID(task.removeprefix("mp-"), padlen=8)),
        "structure": cell.as_dict(),
        "run_type": "GGA" if i % 2 else "GGA+U",
        "spin_up_densities": up,
        "spin_down_densities": [0.25 * value for value in up] if i % 4 == 0 else None,
        "energies": [-2.0, -1.0, 0.5, 1.5],
        "efermi": 0.125 * i,
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, store: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = store
        self.reset()

    def reset(self) -> None:
        self.documents: dict[str, Any] = json.loads((self.store / "documents.json").read_text())
        self.tasks: dict[str, str] = json.loads((self.store / "tasks.json").read_text())
        self.texts: dict[str, Any] = json.loads((self.store / "texts.json").read_text())
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, dict[str, str], str | None]] = []
        self.version = VERSION
        self.holding, self.go_on = threading.Event(), threading.Event()

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that went away."""

    def fault(self, path: str, query: dict[str, str]) -> Fault | None:
        for fault in self.faults:
            if fault.concerns(path, query):
                if fault.after > 0:
                    fault.after -= 1
                    return None
                fault.times -= 1
                return fault
        return None

    def control(self, what: str, content: Any) -> Any:
        match what:
            case "reset":
                self.go_on.set()
                self.reset()
            case "faults":
                self.faults = [Fault(**fault) for fault in content]
            case "change":
                self.documents[content["name"]] |= content["values"]
            case "task":
                self.tasks |= content
            case "text":
                self.texts |= content
            case "version":
                self.version = content
            case "go":
                self.go_on.set()
            case "asked":
                return self.asked
            case "holding":
                return self.holding.is_set()
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.control(self.path.rsplit("/", 1)[-1], content)  # type: ignore[attr-defined]
        self._send(200, json.dumps(answer).encode())

    def _answer(self) -> None:
        project: _Server = self.server  # type: ignore[assignment]
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        path = unquote(parts.path)
        project.asked.append((path, query, self.headers.get("x-api-key")))
        fault = project.fault(path, query)
        if fault and fault.how == "hold":
            project.holding.set()
            project.go_on.wait(60)
        if fault and fault.how.isdigit():
            headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            headers |= {"Location": f"http://localhost:{project.server_port}/elsewhere"} if fault.how == "302" else {}
            self._send(int(fault.how), b'{"detail": "injected"}', headers)
        elif fault and fault.how == "echo":
            self._send(500, f"no luck with {self.headers.get('x-api-key')}".encode())
        elif path == "/heartbeat":
            body = {"status": "OK", "version": "0.87.0", "db_version": project.version}
            self._send_json(body | {"access_controlled_batch_ids": []}, fault)
        elif path.startswith("/materials/"):
            self._rest(project, path, query, fault)
        else:
            self._object(project.store, path.strip("/"), query, fault)

    def _rest(self, project: _Server, path: str, query: dict[str, str], fault: Fault | None) -> None:
        if self.headers.get("x-api-key") != KEY:
            self._send(401, b'{"message": "Unauthorized"}')
            return
        size = int(query.get("_per_page" if "_page" in query else "_limit", 100))
        if size > MOST_DOCUMENTS:
            self._send(400, b'{"detail": "Requested more data per query than allowed by this endpoint."}')
            return
        documents = [document for document in project.documents.values() if _fits(document, query, project)]
        if query.get("_sort_fields") == "material_id":
            documents.sort(key=lambda document: document.get("material_id", ""))
        skip = (int(query["_page"]) - 1) * size if "_page" in query else int(query.get("_skip", 0))
        if path.rstrip("/").endswith("electronic_structure"):
            task = project.tasks.get
            ids = [document["material_id"] for document in documents]
            documents = [{"material_id": name, "dos": {"task_id": task(name)}} for name in ids]
        elif path.rstrip("/").endswith("robocrys"):
            ids = [document["material_id"] for document in documents if document["material_id"] in project.texts]
            documents = [{"material_id": name, "description": project.texts[name]} for name in ids]
        wanted = {name.split(".")[0] for name in query["_fields"].split(",")}
        data = [{k: v for k, v in document.items() if k in wanted} for document in documents[skip : skip + size]]
        self._send_json({"data": data, "meta": {"total_doc": len(documents), "api_version": "0.87.0"}}, fault)

    def _object(self, store: Path, path: str, query: dict[str, str], fault: Fault | None) -> None:
        if query.get("list-type") == "2":
            self._listing(store / path, query)
            return
        file = store / path
        if not file.is_file():
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        content = file.read_bytes()
        total, status, headers = len(content), 200, {"ETag": '"1"', "Last-Modified": "Mon, 13 Apr 2026 00:00:00 GMT"}
        if span := self.headers.get("Range"):
            first, last = span.removeprefix("bytes=").split("-")
            start = int(first) if first else total - int(last)
            stop = min(int(last) + 1, total) if first and last else total
            content, status = content[start:stop], 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
        self._send(status, content, headers, cut=fault is not None and fault.how == "cut")

    def _listing(self, bucket: Path, query: dict[str, str]) -> None:
        keys = sorted(str(file.relative_to(bucket)) for file in bucket.rglob("*") if file.is_file())
        keys = [key for key in keys if key.startswith(query["prefix"]) and key > query.get("start-after", "")]
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-04-13T00:00:00.000Z</LastModified>"
            f'<ETag>"1"</ETag><Size>{(bucket / key).stat().st_size}</Size></Contents>'
            for key in keys
        )
        head = f"<Name>{bucket.name}</Name><KeyCount>{len(keys)}</KeyCount><IsTruncated>false</IsTruncated>"
        self._send(200, f"<ListBucketResult>{head}{items}</ListBucketResult>".encode())

    def _send_json(self, body: dict[str, Any], fault: Fault | None) -> None:
        how = fault.how if fault else ""
        if how == "garbage":
            self._send(200, b"<html>we are down for maintenance</html>")
            return
        packed = gzip.compress(json.dumps({"data": None} if how == "no list" else body).encode())
        if how == "gzip":
            packed = packed[: len(packed) // 2]
        self._send(200, packed, {"Content-Encoding": "gzip", "Content-Type": "application/json"}, cut=how == "cut")

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None, *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = self.close_connection or cut


def _fits(document: dict[str, Any], query: dict[str, str], project: _Server) -> bool:
    if "material_ids" in query and document.get("material_id") not in query["material_ids"].split(","):
        return False
    for name in ("nsites", "energy_above_hull", "band_gap"):
        low, high = (float(query.get(f"{name}_{side}", unset)) for side, unset in (("min", "-inf"), ("max", "inf")))
        if isinstance(document.get(name), float | int) and not low <= document[name] <= high:
            return False
    if query.get("has_props") == "dos" and document.get("material_id") not in project.tasks:
        return False
    try:
        symbols = {species["element"] for site in document["structure"]["sites"] for species in site["species"]}
    except (KeyError, TypeError):
        return True
    wanted, unwanted = (set(filter(None, query.get(n, "").split(","))) for n in ("elements", "exclude_elements"))
    return wanted <= symbols and not unwanted & symbols


if __name__ == "__main__":
    server = _Server(Path(sys.argv[1]))
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
