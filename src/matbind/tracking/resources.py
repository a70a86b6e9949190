"""What a training takes of its machine, sampled while it runs.

MLflow's own monitor measures the whole machine, which is right for an ablation; several trainings run at a time, so
each of them is measured by its own process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

INTERVAL_SECONDS = 10.0
MEGABYTE = 1e6


class ProcessMonitor:
    """Samples a process and all it started, until it is stopped or the process ends.

    Logs ``system/training_cpu_percentage`` (100 is one core, mean since the last sample) and
    ``system/training_memory_megabytes`` (resident).
    """

    def __init__(self, pid: int, *, log: Callable[[dict[str, float], int], None]) -> None:
        """Begin to sample, every MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL or ten seconds.

        Args:
            pid: of the training.
            log: is given the figures and the number of the sample.
        """
        self._interval = float(os.environ.get("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL") or INTERVAL_SECONDS)
        self._log, self._stopped = log, threading.Event()
        self._thread = threading.Thread(target=self._sample, args=(pid,), name=f"monitor of {pid}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the sampling."""
        self._stopped.set()
        self._thread.join()

    def _sample(self, pid: int) -> None:
        import psutil

        step, before = 0, 0.0
        try:
            root = psutil.Process(pid)
            while not self._stopped.wait(self._interval):
                seconds, memory = _taken(root)
                share = 100 * max(seconds - before, 0.0) / self._interval
                figures = {"system/training_cpu_percentage": share}
                self._log(figures | {"system/training_memory_megabytes": memory / MEGABYTE}, step)
                step, before = step + 1, seconds
        except psutil.Error:
            return


def _taken(root: Any) -> tuple[float, int]:
    """CPU seconds and resident bytes of a process and its children."""
    import psutil

    seconds, memory = 0.0, 0
    for process in [root, *root.children(recursive=True)]:
        try:
            with process.oneshot():
                times = process.cpu_times()
                seconds += times.user + times.system
                memory += process.memory_info().rss
        except psutil.NoSuchProcess:
            if process == root:
                raise
    return seconds, memory
