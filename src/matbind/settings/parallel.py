"""Where the long computations run."""

from __future__ import annotations

from pydantic import Field

from matbind.base.config import StrictModel


class ParallelSettings(StrictModel):
    """Where the long computations run; changes no result.

    Attributes:
        workers: processes of this machine; 0 for one a core.
        dask: null, or the Dask cluster to use instead: `local`, or the address of a scheduler.
    """

    workers: int = Field(ge=0)
    dask: str | None
