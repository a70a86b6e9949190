"""Which data, code and process a result comes from."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Origin:
    """Which data and code a result was made from.

    Attributes:
        data_md5: DVC's checksum of the data, None if there is no `data.dvc`.
        git_commit: None outside a repository or before its first commit.
        git_dirty: whether a tracked file differs from that commit (`dvc.lock` aside, which every stage rewrites).
    """

    data_md5: str | None
    git_commit: str | None
    git_dirty: bool

    @property
    def code(self) -> str | None:
        """The commit, with ``-dirty`` behind it if the files differ from it."""
        return f"{self.git_commit}-dirty" if self.git_commit and self.git_dirty else self.git_commit


def read_origin(root: Path = Path()) -> Origin:
    """The data and code of a project directory."""
    pointer = root / "data.dvc"
    content = yaml.safe_load(pointer.read_text()) if pointer.exists() else None
    outs = (content or {}).get("outs") or [{}]
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock")
    return Origin(outs[0].get("md5"), _git(root, "rev-parse", "--verify", "HEAD"), bool(changed))


def workspace_mark(root: Path) -> str:
    """Tells a project directory of one machine from all others, without naming either."""
    return hashlib.sha256(f"{platform.node()}:{root.resolve()}".encode()).hexdigest()[:32]


def process_mark() -> str:
    """Tells this process from all others: machine, number, start."""
    import psutil

    return f"{platform.node()}:{os.getpid()}:{psutil.Process().create_time():.0f}"


def is_gone(mark: str) -> bool:
    """Whether a process of this machine has ended; False for processes of other machines and unknown marks."""
    import psutil

    node, _, rest = mark.partition(":")
    number, _, started = rest.partition(":")
    if node != platform.node() or not number.isdigit():
        return False
    try:
        return f"{psutil.Process(int(number)).create_time():.0f}" != started
    except psutil.NoSuchProcess:
        return True


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
