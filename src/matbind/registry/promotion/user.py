"""Who is at work, for records that tell it."""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
from pathlib import Path


def acting_user(root: Path = Path()) -> str:
    """Name and address as git knows them, else the account and the machine.

    Args:
        root: the project directory, whose git settings count.

    Returns:
        Such as ``Ann Lee <ann@example.org>`` or ``ann@node7``.
    """
    name, address = (_git_setting(root, key) for key in ("user.name", "user.email"))
    if name and address:
        return f"{name} <{address}>"
    return name or address or f"{_account()}@{platform.node()}"


def _git_setting(root: Path, key: str) -> str:
    command = ["git", "-C", str(root), "config", "--get", key]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # containers run under numbers that no account has
        return f"user {os.getuid()}"
