"""Where the long computations of a stage run: on processes of this machine, or on a Dask cluster."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from matbind.base.dask import dask_workers
from matbind.base.parallel import Workers, processes
from matbind.settings.params import ParallelSettings


def workers(settings: ParallelSettings, *, log: Callable[[str], None]) -> AbstractContextManager[Workers]:
    """Provide what a stage hands its chunks of work to, until the block ends.

    Args:
        settings: `dask` null: processes of this machine; `local`: a Dask cluster of as many processes; an address: the
            Dask cluster of that scheduler.
        log: is told where Dask's page is.

    Raises:
        UserError: if Dask is not installed, no scheduler answers at the address, or its workers cannot do the work.
    """
    if settings.dask is None:
        return processes(settings.workers)
    return dask_workers(settings.dask, workers=settings.workers, log=log)
