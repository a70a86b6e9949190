from __future__ import annotations

import queue
import subprocess
import sys

from matbind.tracking.resources import ProcessMonitor

WORK = "block = bytearray(200_000_000)\nwhile True: sum(range(10_000))"


def test_a_process_is_sampled_until_it_is_stopped() -> None:
    samples: queue.Queue[tuple[dict[str, float], int]] = queue.Queue()
    with subprocess.Popen([sys.executable, "-c", WORK]) as process:
        monitor = ProcessMonitor(
            process.pid, log=lambda figures, step: samples.put((figures, step)), interval_seconds=0.5
        )
        found = [samples.get(timeout=60) for _ in range(4)]
        monitor.stop()
        process.kill()

    assert [step for _, step in found] == [0, 1, 2, 3]
    assert found[-1][0]["system/training_cpu_percentage"] > 1
    assert found[-1][0]["system/training_memory_megabytes"] > 200


def test_a_process_that_is_gone_ends_the_sampling() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    monitor = ProcessMonitor(ended.pid, log=lambda _figures, _step: None, interval_seconds=0.01)

    monitor._thread.join(timeout=30)
    assert not monitor._thread.is_alive()
