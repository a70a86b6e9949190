from __future__ import annotations

import subprocess
import sys

import psutil

CHILD = """
import time
from matbind.base.processes import end_with_parent
end_with_parent()
print('up', flush=True)
time.sleep(60)
"""


def test_a_process_ends_when_the_pipe_to_its_parent_closes() -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"

    child.stdin.close()

    assert child.wait(timeout=30) == 143


def test_a_process_lives_while_the_pipe_is_held() -> None:
    code = CHILD.replace("time.sleep(60)", "time.sleep(0.5)")

    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as child:
        assert child.wait(timeout=30) == 0


def test_a_process_ends_after_its_caller_was_killed() -> None:
    callee = CHILD.replace("end_with_parent", "end_with_caller")
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {callee!r}])"
    caller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    assert caller.stdout.readline() == "up\n"
    callees = psutil.Process(caller.pid).children()
    assert len(callees) == 1

    caller.kill()
    caller.wait()

    assert psutil.wait_procs(callees, timeout=30)[1] == []
