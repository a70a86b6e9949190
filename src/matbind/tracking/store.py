"""Where MLflow keeps the runs, and what is wrong with that place when it cannot be used."""

from __future__ import annotations

import errno
import logging
import os
import re
from pathlib import Path
from typing import Any

from matbind.base.errors import UserError
from matbind.base.extras import missing
from matbind.tracking.moved import old_place, relocate

EXPERIMENT = "matbind"
TRAINING_PAGES = {"mlflow.experimentKind": "custom_model_development"}  # else MLflow opens its pages for chat models
DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
REASON_CHARACTERS = 200
ANSWER_SECONDS = 20
_UNREACHABLE = (
    r"max retries exceeded|connection refused|failed to establish|timed out|could not connect|name resolution"
    r"|server closed the connection|connection to server|terminating connection"
)
# What drivers and the system say, and what it means; the first that fits counts.
_MEANINGS = (
    (r"readonly database|read-only file system", "{store} can only be read"),
    (r"disk is full|no space left|file too large|disk I/O error|quota exceeded", "the disk of {store} is full"),
    (r"unable to open database file|is a directory", "{store} cannot be opened as a database"),
    (r"not a database|malformed", "{store} is no database"),
    (r"database is locked", "{store} is held by another program"),
    (r"permission denied", "{store} may not be written by this user"),
    (r"out-of-date database schema|can't locate revision", "{store} was made by another version of MLflow"),
    (_UNREACHABLE, "{store} does not answer"),
    (
        r"no module named|can't load plugin",
        "the driver of {store} is missing, install it by `pip install 'matbind[team]'`",
    ),
)


def tracking_uri(root: Path = Path()) -> str:
    """Return the address of the store: MLFLOW_TRACKING_URI where it is set, else the SQLite file of the project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(project_of(root) / DATABASE).resolve()}"


def project_of(root: Path = Path()) -> Path:
    """Return the project whose runs these are: DVC runs queued experiments in temporary copies of it."""
    given = os.environ.get("DVC_ROOT") if "DVC_EXP_NAME" in os.environ and root == Path() else None
    return Path(given) if given else root


def experiment_of_runs() -> str:
    """Return the name of the experiment that runs go to: MLFLOW_EXPERIMENT_NAME where it is set, else matbind."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT


def require_store(root: Path = Path()) -> None:
    """Refuse to read from a store that is not there yet; connecting to it would make an empty one.

    Raises:
        UserError: if no variable names a store and the project has none.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (project_of(root) / DATABASE).exists():
        raise UserError(
            f"{project_of(root) / DATABASE}: the store of models and runs does not exist, expected the directory of a "
            "project where make run has finished, or MLFLOW_TRACKING_URI with the address of a store"
        )


def connect(root: Path = Path(), experiment_name: str | None = None) -> tuple[Any, str]:
    """A client of the store and the id of an experiment, by default that of the runs, made if it is not there.

    An SQLite file of the project keeps its artifacts beside it; any other store has its own place for them. If the
    project was moved or copied since, the file is brought up to date first.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # A server that is away is noticed within seconds, not after minutes of growing pauses.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(ANSWER_SECONDS))
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _knock(tracking_uri(root))
    client, experiment_name = MlflowClient(tracking_uri(root)), experiment_name or experiment_of_runs()
    experiment = client.get_experiment_by_name(experiment_name)
    if experiment is None:
        location = None if os.environ.get("MLFLOW_TRACKING_URI") else (project_of(root) / ARTIFACTS).resolve().as_uri()
        try:
            return client, client.create_experiment(experiment_name, artifact_location=location, tags=TRAINING_PAGES)
        except MlflowException:  # another member of the team was faster
            experiment = client.get_experiment_by_name(experiment_name)
            if experiment is None:
                raise
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        database = (project_of(root) / DATABASE).resolve()
        if old := old_place(experiment.artifact_location, database, ARTIFACTS):
            relocate(database, old)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return client, experiment.experiment_id


def reason_of(error: BaseException, root: Path = Path()) -> str:
    """Say what is wrong with the store, in less than a sentence that names it."""
    if sentence := next(filter(None, map(missing, _chain(error))), None):
        return sentence
    store = _without_password(tracking_uri(root)).removeprefix("sqlite:///")
    text = "\n".join(str(link) or type(link).__name__ for link in _chain(error))
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}:
        text = f"disk is full: {text}"
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, text, flags=re.IGNORECASE):
            return meaning.format(store=store)
    return f"{store}: {_without_password(text.splitlines()[0])}"[:REASON_CHARACTERS]


def _knock(uri: str) -> None:
    """Open a database once, so that one which cannot be opened is told at once: MLflow tries for minutes."""
    import sqlalchemy

    if uri.startswith(("http:", "https:", "file:", "databricks")):
        return
    timeout = {"connect_timeout": ANSWER_SECONDS} if uri.startswith("postgresql") else {}
    engine = sqlalchemy.create_engine(uri, connect_args=timeout)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _chain(error: BaseException | None) -> list[BaseException]:
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def _without_password(text: str) -> str:
    return re.sub(r"(://[^:/@\s]+):[^@/\s]+@", r"\1@", text)
