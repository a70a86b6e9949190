from __future__ import annotations

import queue
import subprocess
import sys

import pytest

from matbind.tracking.resources import ProcessMonitor

WORK = "block = bytearray(200_000_000)\nwhile True: sum(range(10_000))"


def test_a_process_is_sampled_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.5")
    samples: queue.Queue[tuple[dict[str, float], int]] = queue.Queue()
    with subprocess.Popen([sys.executable, "-c", WORK]) as process:
        monitor = ProcessMonitor(process.pid, log=lambda figures, step: samples.put((figures, step)))
        taken = [samples.get(timeout=60) for _ in range(4)]
        monitor.stop()
        process.kill()

    assert [step for _, step in taken] == [0, 1, 2, 3]
    assert taken[-1][0]["system/training_cpu_percentage"] > 1
    assert taken[-1][0]["system/training_memory_megabytes"] > 200


def test_a_process_that_is_gone_ends_the_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.01")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    monitor = ProcessMonitor(ended.pid, log=lambda _figures, _step: None)

    monitor._thread.join(timeout=30)
    assert not monitor._thread.is_alive()
