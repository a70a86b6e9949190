"""How long the command line takes to answer: `python benchmarks/startup.py`, in a project that has run.

CPU seconds of a new process and its threads, before its first line and in all: the least of several starts. Another
checkout can be measured in turn with this one, so that both have the machine as it is. What each command may import at
all is a test (tests/cli/test_startup.py).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
EXAMPLES = Path(__file__).parents[1] / "examples"
COMMANDS = [
    "--help",
    "search --help",
    "search --nope",
    "status",
    "settings",
    "settings --preset paper",
    "combinations",
    "model",
    "model --preset paper",
    "models",
    "models --json",
    "models crystal+pxrd --history",
    "provenance crystal+pxrd",
    "provenance matbind-crystal-pxrd@challenger",
    "promote crystal+pxrd --to staging",
    "promote crystal+pxrd --to archived --version 999",
    f"search {EXAMPLES / 'pyrite.xy'} --wavelength CuKa",
    f"search {EXAMPLES / 'pyrite.xy'} --wavelength CuKa --model crystal+pxrd",
    f"search {EXAMPLES / 'pyrite.cif'}",
    f"search {EXAMPLES / 'pyrite.dos.csv'}",
    f"search {EXAMPLES / 'pyrite.txt'}",
    f"data folder {EXAMPLES} {{new}}",
    "data xtb no-such-directory",
    "ui --port 5999",
]
SERVES = "ui"  # ends only when it is stopped


def measure(arguments: list[str], source: Path) -> tuple[float, float]:
    """Run the command line of a checkout and return CPU seconds before its first output and in all."""
    command, environment = [sys.executable, "-m", "matbind.cli", *arguments], os.environ | {"PYTHONPATH": str(source)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        user, system = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
        if arguments[0] == SERVES:
            process.terminate()
        process.stdout.read()
        usage = os.wait4(process.pid, 0)[2]
        process.returncode = 0
    return (int(user) + int(system)) / TICKS, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure all commands and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout to compare with")
    parser.add_argument("--only", default="", help="commands that begin with this")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    checkouts = [*([options.against] if options.against else []), Path(__file__).parents[1]]
    print("CPU s before the first output, in all:", *(checkout.resolve().name for checkout in checkouts))
    seconds = {}
    for command in filter(lambda command: command.startswith(options.only), COMMANDS):
        measured: dict[Path, list[tuple[float, float]]] = {checkout: [] for checkout in checkouts}
        for _ in range(options.repeats):
            for checkout, runs in measured.items():
                with tempfile.TemporaryDirectory() as directory:
                    arguments = command.format(new=Path(directory) / "new").split()
                    runs.append(measure(arguments, (checkout / "src").resolve()))
        seconds[command] = [[min(figures) for figures in zip(*runs, strict=True)] for runs in measured.values()]
        figures = "   ".join(f"{first:5.2f} {whole:5.2f}" for first, whole in seconds[command])
        print(f"{figures}   matbind {command.replace(f'{EXAMPLES.parent}/', '')}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(seconds, indent=1))


if __name__ == "__main__":
    main()
