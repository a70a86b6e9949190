"""Chunks of work on a Dask cluster: one of processes of this machine, or that of a scheduler elsewhere."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from matbind.base.errors import StageError, UserError
from matbind.base.parallel import AHEAD, Item, Result, Workers, in_order

if TYPE_CHECKING:
    from distributed import Client

PACKAGE = "matbind"
LOCAL = "local"
SOCKETS = ("tcp://", "tls://")
CONNECT_SECONDS = 5
RETRIES = 2  # of a chunk that raised; a chunk whose worker is lost goes to another one by Dask's own rules
EXPECTED = f"expected null, {LOCAL}, or the address of a scheduler such as tcp://host:8786"


class DaskPool:
    """The workers of a Dask cluster."""

    def __init__(self, client: Client) -> None:
        """Take a connected client."""
        self._client = client

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See :meth:`matbind.base.parallel.Workers.map`.

        Raises:
            StageError: if one chunk costs worker after worker, or the scheduler is lost.
        """
        n = max(sum(self._client.nthreads().values()), 1)  # type: ignore[no-untyped-call]
        submit = self._client.submit
        submitted = (submit(function, item, retries=RETRIES, pure=False) for item in items)
        return in_order(submitted, _result, ahead=AHEAD * n)


@contextmanager
def dask_workers(cluster: str, *, workers: int, log: Callable[[str], None]) -> Iterator[Workers]:
    """Provide the workers of a Dask cluster until the block ends.

    Args:
        cluster: `local`, or the address of a scheduler; what `parallel.dask` of the settings says.
        workers: processes of a local cluster; 0 for one a core.
        log: is told where Dask's page is.

    Raises:
        UserError: if Dask is not installed, no scheduler answers at the address, or its workers lack the package.
    """
    # The stages print their own progress. Dask reads this at import, here and in the processes it starts.
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
    try:
        from distributed import LocalCluster
    except ModuleNotFoundError as error:
        message = f"parallel.dask is {cluster!r}, which needs Dask: pip install 'matbind[dask]'"
        raise UserError(message) from error
    if cluster == LOCAL:
        options: dict[str, Any] = {
            "n_workers": workers or os.cpu_count() or 1,
            "threads_per_worker": 1,
            "memory_limit": 0,  # Dask would end workers that need more than their share of the memory
            "dashboard_address": "127.0.0.1:0",
        }
        with LocalCluster(**options) as local, local.get_client() as client:  # type: ignore[no-untyped-call]
            log(f"Dask's page: {client.dashboard_link}")
            yield DaskPool(client)
    else:
        with _connected(cluster) as client:
            if client.dashboard_link:
                log(f"Dask's page: {client.dashboard_link}")
            yield DaskPool(client)


def _connected(address: str) -> Client:
    """Connect to a scheduler and see that it has workers that can do the work."""
    from distributed import Client
    from distributed.comm.addressing import get_address_host_port

    try:
        # A client that found nobody takes ten seconds more to give up: see first whether anybody listens.
        if address.startswith(SOCKETS) or "://" not in address:
            socket.create_connection(get_address_host_port(address), timeout=CONNECT_SECONDS).close()
        client = Client(address, timeout=CONNECT_SECONDS)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise UserError(
            f"parallel.dask is {address!r}: no Dask scheduler answers there ({_first_line(error)}), {EXPECTED}"
        ) from error
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        specs = client.run(find_spec, PACKAGE)
    except TimeoutError as error:
        client.close()  # type: ignore[no-untyped-call]
        raise UserError(f"parallel.dask is {address!r}: its cluster has no workers, start some: dask worker") from error
    for worker, spec in specs.items():
        if spec is None:
            client.close()  # type: ignore[no-untyped-call]
            fault = f"parallel.dask is {address!r}: its worker {worker} has no {PACKAGE}"
            raise UserError(f"{fault}, expected the same environment as here")
    return client


def _result(future: Any) -> Any:
    from distributed import CancelledError, KilledWorker

    try:
        return future.result()
    except (KilledWorker, CancelledError) as error:
        raise StageError(f"the Dask cluster lost a part of the work: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
