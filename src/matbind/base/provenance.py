"""Which data, code, environment and process a result comes from."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from matbind.base.files import METRICS, MODELS

PROVENANCE = "provenance.json"
LOCK_FILE = "dvc.lock"
CONSTRAINTS = "constraints.txt"
DATA_POINTER = "data.dvc"
TRAINED_BY = "ablate"
LARGEST_PATCH_CHARACTERS = 1_000_000
CLOCK_TOLERANCE_SECONDS = 10.0  # the start of a process is relative to a clock that may be set meanwhile
_NOT_CODE = (":!dvc.lock", ":!metrics")  # what stages rewrite
_CODE = ("src", "pipelines")


@dataclass(frozen=True)
class Origin:
    """Which data and code a result was made from.

    Attributes:
        data_md5: DVC's checksum of the data, None if there is no `data.dvc`.
        git_commit: None outside a repository or before its first commit.
        git_dirty: whether a tracked file differs from that commit (`dvc.lock` and metrics aside, which stages rewrite).
    """

    data_md5: str | None
    git_commit: str | None
    git_dirty: bool

    @property
    def code(self) -> str | None:
        """Return the commit, with ``-dirty`` behind it if the files differ from it."""
        return f"{self.git_commit}-dirty" if self.git_commit and self.git_dirty else self.git_commit


def read_origin(root: Path = Path()) -> Origin:
    """Read the data and code of a project directory."""
    pointer = root / DATA_POINTER
    content = yaml.safe_load(pointer.read_text()) if pointer.exists() else None
    outs = (content or {}).get("outs") or [{}]
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *_NOT_CODE)
    return Origin(outs[0].get("md5"), _git(root, "rev-parse", "--verify", "HEAD"), bool(changed))


def experiment_name() -> str | None:
    """Return the name of the DVC experiment this stage runs for: DVC sets it for the stages of `dvc exp run`."""
    return os.environ.get("DVC_EXP_NAME") or None


def stage_locks(root: Path = Path()) -> dict[str, dict[str, Any]]:
    """Read what `dvc.lock` says of every stage: checksums of what it read and wrote, and a digest of its settings.

    Returns:
        By stage: ``deps`` and ``outs``, each a checksum by path, and ``params_digest``; empty without a lock file.
    """
    path = root / LOCK_FILE
    content = yaml.safe_load(path.read_text()) if path.exists() else None
    return {
        name: {
            "deps": {file["path"]: file.get("md5") for file in stage.get("deps", [])},
            "outs": {file["path"]: file.get("md5") for file in stage.get("outs", [])},
            "params_digest": sha256(json.dumps(stage.get("params", {}), sort_keys=True).encode()).hexdigest()[:32],
        }
        for name, stage in ((content or {}).get("stages") or {}).items()
    }


def locks_before(locks: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the locks of all stages but the training and those that use what it makes, directly or not.

    While a stage runs, the lock file is of its last run; what came before it is as it was read.
    """
    tainted = {TRAINED_BY}
    outs = {str(MODELS), str(METRICS)} | set(locks.get(TRAINED_BY, {}).get("outs", ()))
    while later := {name for name, lock in locks.items() if name not in tainted and outs & set(lock["deps"])}:
        tainted |= later
        outs |= {path for name in later for path in locks[name]["outs"]}
    return {name: lock for name, lock in locks.items() if name not in tainted}


def dvc_md5(path: Path) -> str:
    """Compute DVC's checksum of a file, or of a directory with all that is in it (which ends in ``.dir``)."""
    if path.is_file():
        return _file_md5(path)
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    rows = [{"md5": _file_md5(file), "relpath": relative} for relative, file in sorted(files.items())]
    return hashlib.md5(json.dumps(rows, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def training_record(root: Path = Path()) -> dict[str, Any]:
    """Collect all that is needed, besides the settings, to train the same model again.

    It depends on data, code, settings and machine only, never on the time, so that equal trainings leave equal files.

    Returns:
        ``data_md5``; ``git_commit``, ``git_dirty`` and the ``patch`` from the commit to the files as they are, new
        files of code included (None if it is too large to keep); the text of params.yaml as ``params``; the ``stages``
        before the training as DVC locked them; the ``environment``.
    """
    patch = _patch(root)
    params = root / "params.yaml"
    return asdict(read_origin(root)) | {
        "patch": patch if patch is not None and len(patch) <= LARGEST_PATCH_CHARACTERS else None,
        "params": params.read_text() if params.exists() else None,
        "stages": locks_before(stage_locks(root)),
        "environment": environment(root),
    }


def environment(root: Path = Path()) -> dict[str, Any]:
    """Return interpreter, machine and versions of the packages that `constraints.txt` names; of all without it."""
    from importlib.metadata import distributions

    installed = {_canonical(package.metadata["Name"]): package.version for package in distributions()}
    constraints = root / CONSTRAINTS
    lines = constraints.read_text().splitlines() if constraints.exists() else []
    named = {_canonical(line.split("==")[0]) for line in lines if "==" in line} or set(installed)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "packages": {name: version for name, version in sorted(installed.items()) if name in named},
    }


def workspace_fingerprint(root: Path) -> str:
    """Return what tells a project directory of one machine from all others, without naming either."""
    return sha256(f"{_machine()}:{root.resolve()}".encode()).hexdigest()[:32]


def process_fingerprint() -> str:
    """Return what tells this process from all others: machine, number, start."""
    import psutil

    return f"{_machine()}:{os.getpid()}:{psutil.Process().create_time():.0f}"


def is_gone(fingerprint: str) -> bool:
    """Return whether a process of this machine has ended; False for other machines and unknown fingerprints."""
    import psutil

    machine, _, rest = fingerprint.partition(":")
    number, _, started = rest.partition(":")
    if machine != _machine() or not number.isdigit() or not started.isdigit():
        return False
    try:
        process = psutil.Process(int(number))
        same = abs(process.create_time() - int(started)) <= CLOCK_TOLERANCE_SECONDS
        return not same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@cache
def _machine() -> str:
    """Tell this machine from others, of the same name too: many containers share one name or one machine id."""
    import uuid

    numbers = Path("/etc/machine-id")
    known = numbers.read_text() if numbers.exists() else ""
    return f"{platform.node()}-{sha256(f'{platform.node()}:{known}:{uuid.getnode()}'.encode()).hexdigest()[:12]}"


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _canonical(package: str) -> str:
    return package.strip().lower().replace("_", "-").replace(".", "-")


def _file_md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _patch(root: Path) -> str | None:
    """Return the patch from the commit to the files as they are, new ones of code too; the index is left alone."""
    index = _git(root, "rev-parse", "--git-path", "index")
    if index is None or not (root / index).exists():
        return ""
    with TemporaryDirectory() as place:
        copied = shutil.copy(root / index, place)
        code = [name for name in _CODE if (root / name).is_dir()]
        if code:
            _git(root, "add", "--intent-to-add", "--", *code, index=copied)
        return _git(root, "diff", "HEAD", "--binary", "--", ".", *_NOT_CODE, strip=False, index=copied)


def _git(root: Path, *arguments: str, strip: bool = True, index: str | None = None) -> str | None:
    environment = os.environ | ({"GIT_INDEX_FILE": index} if index else {})
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603
    except OSError:
        return None
    if done.returncode != 0:
        return None
    return done.stdout.strip() if strip else done.stdout
