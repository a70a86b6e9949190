"""Where the long computations of a stage run: on processes of this machine, or as Prefect tasks on a Dask cluster."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from prefect import Flow, Task, task
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture

from matbind.base.errors import UserError
from matbind.base.parallel import AHEAD, Item, Result, Workers, called, in_order, processes
from matbind.settings.parallel import ParallelSettings
from pipelines.stage import StageError
from pipelines.tasks import cores_or

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner

LOCAL = "local"
SOCKETS = ("tcp://", "tls://")
CONNECT_SECONDS = 5
RETRIES = 2
EXPECTED = f"expected null, {LOCAL}, or the address of a scheduler such as tcp://host:8786"


@contextmanager
def workers(settings: ParallelSettings) -> Iterator[Workers]:
    """What a stage hands its chunks of work to; ended with the block.

    Args:
        settings: `dask` null: processes of this machine; `local`: a Dask cluster of as many processes; an address: the
            Dask cluster of that scheduler. The chunks of a cluster are Prefect tasks of the flow that is running.

    Raises:
        UserError: if Dask is not installed, no scheduler answers at the address, or its workers cannot do the work.
    """
    if settings.dask is None:
        with processes(settings.workers) as pool:
            yield pool
        return
    try:
        # The stages print their own progress. Dask reads this at import, here and in the processes it starts.
        os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
        from prefect_dask.task_runners import DaskTaskRunner
    except ModuleNotFoundError as error:
        message = f"parallel.dask is {settings.dask!r}, which needs Dask: pip install 'matbind[dask]'"
        raise UserError(message) from error
    with _runner(settings, DaskTaskRunner) as runner:
        yield DaskTasks(runner)


class DaskTasks:
    """The workers of a Dask cluster."""

    def __init__(self, runner: DaskTaskRunner) -> None:
        """Take a started task runner."""
        self._runner = runner

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See :meth:`matbind.base.parallel.Workers.map`.

        A chunk whose worker is lost is done again by another one.

        Raises:
            StageError: if one chunk costs worker after worker, or the scheduler is lost.
        """
        # Prefect looks for futures inside of parameters of known types; it takes a partial as it is.
        chunk = task(name="chunk", retries=RETRIES, persist_result=False)(called)
        n = max(sum(self._runner.client.nthreads().values()), 1)  # type: ignore[no-untyped-call]
        calls = (partial(function, item) for item in items)
        submitted = (self._submit(chunk, call) for call in calls)
        return in_order(submitted, _result, ahead=AHEAD * n)

    def _submit(self, chunk: Task[..., Any], call: Callable[[], Any]) -> PrefectFuture[Any]:
        """Hand out one task of the flow that is running.

        With a task goes its flow, and workers elsewhere have the package but not the flows: a flow of the same name,
        made of a function of the package, stands for it.
        """
        running = FlowRunContext.get()
        if running is None or running.flow is None:
            return self._runner.submit(chunk, parameters={"call": call})
        with running.model_copy(update={"flow": Flow(called, name=running.flow.name)}):
            return self._runner.submit(chunk, parameters={"call": call})


def _result(future: Any) -> Any:
    from distributed import CancelledError, KilledWorker

    try:
        return future.result()
    except (KilledWorker, CancelledError) as error:
        raise StageError(f"the Dask cluster lost a part of the work: {_first_line(error)}") from error


@contextmanager
def _runner(settings: ParallelSettings, runner_class: type[DaskTaskRunner]) -> Iterator[DaskTaskRunner]:
    """A started task runner whose cluster answers and can do the work."""
    if settings.dask == LOCAL:
        cluster = {
            "n_workers": cores_or(settings.workers),
            "threads_per_worker": 1,
            "memory_limit": 0,  # Dask would end workers that need more than their share of the memory
            "dashboard_address": None,
        }
        runner = runner_class(cluster_kwargs=cluster)
    else:
        runner = runner_class(address=settings.dask, client_kwargs={"timeout": CONNECT_SECONDS})
    with runner:
        if settings.dask != LOCAL:
            _connect(runner, str(settings.dask))
        yield runner


def _connect(runner: DaskTaskRunner, address: str) -> None:
    from distributed.comm.addressing import get_address_host_port
    from prefect.settings import PREFECT_API_URL

    try:
        # A client that found nobody takes ten seconds more to give up: see first whether anybody listens.
        if address.startswith(SOCKETS) or "://" not in address:
            socket.create_connection(get_address_host_port(address), timeout=CONNECT_SECONDS).close()
        client = runner.client
    except (OSError, ValueError) as error:
        raise UserError(
            f"parallel.dask is {address!r}: no Dask scheduler answers there ({_first_line(error)}), {EXPECTED}"
        ) from error
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError as error:
        raise UserError(f"parallel.dask is {address!r}: its cluster has no workers, start some: dask worker") from error
    for worker, fault in client.run(_lacking(str(PREFECT_API_URL.value()))).items():
        if fault:
            raise UserError(f"parallel.dask is {address!r}: its worker {worker} {fault}")


def _lacking(api_url: str) -> Callable[[], str | None]:
    """What a worker cannot do that it has to; an inner function, because a worker elsewhere lacks this file."""

    def lacking() -> str | None:
        from importlib.util import find_spec
        from urllib.parse import urlsplit

        for package in ("matbind", "prefect"):
            if find_spec(package) is None:
                return f"has no {package}, expected the same environment as here"
        api = urlsplit(api_url)
        try:
            socket.create_connection((api.hostname or "", api.port or 80), timeout=5).close()
        except OSError:
            return (
                f"does not reach the Prefect server {api_url}: start one that it reaches (prefect server start --host "
                "ADDRESS) and set PREFECT_API_URL here"
            )
        return None

    return lacking


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
