"""How long the command line takes to answer: `python -m benchmarks.startup`, in a project that `make run` has finished.

The best of several starts, each a new Python process: wall time and CPU time in seconds, with those of an empty Python
to compare. What each command may import at all is a test (tests/cli/test_startup.py).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "python": ["-c", "pass"],
    "import matbind": ["-c", "import matbind"],
    "matbind --help": ["-m", "matbind.cli", "--help"],
    "matbind search --help": ["-m", "matbind.cli", "search", "--help"],
    "matbind search --nope": ["-m", "matbind.cli", "search", "--nope"],
    "matbind status": ["-m", "matbind.cli", "status"],
    "matbind settings": ["-m", "matbind.cli", "settings"],
    "matbind models": ["-m", "matbind.cli", "models"],
}


def measure(arguments: list[str]) -> tuple[float, float]:
    """Run Python once and return wall and CPU seconds."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure all commands and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    seconds: dict[str, dict[str, float]] = {}
    for name, arguments in COMMANDS.items():
        walls, cpus = zip(*(measure(arguments) for _ in range(options.repeats)), strict=True)
        seconds[name] = {"wall": min(walls), "cpu": min(cpus)}
        print(f"{name:22}  {min(walls):6.2f} s wall  {min(cpus):6.2f} s CPU", flush=True)
    if options.json:
        options.json.write_text(json.dumps(seconds, indent=1))


if __name__ == "__main__":
    main()
