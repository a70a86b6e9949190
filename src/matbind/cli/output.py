"""How the commands print: lines as they come, and tables in columns."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def examples(*lines: str) -> str:
    """Return the end of a help page: commands to type, one a line."""
    return "\b\n" + "\n".join(["Examples:", *(f"  {line}" for line in lines)])


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> None:
    """Print columns as wide as what they hold.

    Args:
        header: of the columns; none if empty.
        rows: may be shorter than the header.
        right: columns to be set to the right, from 0.
    """
    lines = [header, *rows] if header else rows
    n_columns = max(map(len, lines), default=0)
    widths = [max(len(line[i]) if i < len(line) else 0 for line in lines) for i in range(n_columns)]
    for line in lines:
        cells = [cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(line)]
        say("  ".join(cells).rstrip())
