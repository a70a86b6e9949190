"""The trail of promotions: one MLflow run a decision, in an experiment of its own.

A run is made with all its tags before anything is changed and is finished after the alias was switched, so a process
that dies on the way leaves an open run: whether its switch took place is told by the alias. Earlier versions of matbind
kept promotions in tags of the registered model; those are still read.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from matbind.base.errors import UserError
from matbind.registry.promotion.gates import Gate
from matbind.registry.registry import Registry
from matbind.tracking.store import connect

EXPERIMENT = "matbind-promotions"
DONE, INTERRUPTED, INTENDED = "done", "interrupted", "intended"
OUTCOMES = {"FINISHED": DONE, "FAILED": INTERRUPTED, "KILLED": INTERRUPTED}  # by the status of the run
PROMOTE, ROLLBACK = "promote", "rollback"
NONE, STAGING, PRODUCTION, ARCHIVED = "none", "staging", "production", "archived"
LONGEST_REASON = 500
DOCUMENT = "matbind.promotion"  # the tag with all of an entry as JSON; the others are to search by
_OLD = re.compile(r"promotion\.\d{4,}\.[0-9a-f]+$")


class Entry(BaseModel):
    """One promotion, archiving or rollback.

    Attributes:
        number: its place in the trail, from 1.
        at: when, ISO 8601, UTC.
        by: who.
        action: promote or rollback.
        version: which version is moved.
        source: its stage before, ``from`` outside of Python.
        to: its stage after.
        alias: which alias moves with it, empty if none does.
        replaced: the version that the alias pointed to before, None if to none.
        reason: why, as given.
        overridden: names of the gates that it failed and was forced through.
        figures: means of recall@1 of it and of the champion at that time, by ``candidate`` and ``champion``.
        gates: what was asked of it.
        classic_stages: whether MLflow's deprecated stages are set too.
        outcome: done, interrupted (nothing was changed), or intended: under way, or its process died before the switch.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    number: int = 0
    at: str
    by: str
    action: str
    version: int
    source: str = Field(validation_alias=AliasChoices("from", "source"), serialization_alias="from")
    to: str
    alias: str = ""
    replaced: int | None = None
    reason: str = ""
    overridden: tuple[str, ...] = ()
    figures: Mapping[str, Mapping[str, int | float]] = {}
    gates: tuple[Gate, ...] = ()
    classic_stages: bool = False
    outcome: str = INTENDED

    @property
    def points_to(self) -> int | None:
        """The version that the alias points to afterwards, None if it is taken away."""
        return None if self.to == ARCHIVED else self.version

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON; the keys are stable."""
        return self.model_dump(mode="json", by_alias=True)


def read_trail(registry: Registry, name: str, tags: Mapping[str, str]) -> tuple[list[Entry], str]:
    """Read the trail of a registered model.

    Args:
        registry: an open one.
        name: of the model.
        tags: of the model; its oldest promotions are among them.

    Returns:
        The promotions, the oldest first; and a sentence about what cannot be read, empty if all can.

    Raises:
        UserError: if the store cannot be used.
    """
    documents = [(f"tag {key}", tags[key], _old_outcome(tags.get(f"{key}.outcome"))) for key in tags if _OLD.match(key)]
    with registry.usable():
        experiment = registry.client.get_experiment_by_name(EXPERIMENT)
    if experiment is not None:
        ids, terms = [experiment.experiment_id], f"tags.model = '{name}'"
        for run in registry.all_pages(lambda token: registry.client.search_runs(ids, terms, page_token=token)):
            outcome = OUTCOMES.get(run.info.status, INTENDED)
            documents.append((f"run {run.info.run_id}", run.data.tags.get(DOCUMENT, ""), outcome))
    entries, unread = [], ""
    for place, document, outcome in documents:
        try:
            entries.append(Entry.model_validate_json(document).model_copy(update={"outcome": outcome}))
        except ValidationError as error:
            reason = error.errors()[0]["msg"].lower()
            unread = f"{name}: its {place} holds no promotion that can be read ({reason}), the history leaves it out"
    entries.sort(key=lambda entry: entry.at)
    return [entry.model_copy(update={"number": i}) for i, entry in enumerate(entries, start=1)], unread


def write_intent(root: Path, name: str, entry: Entry) -> str:
    """Add a decision to the trail before it is carried out.

    Args:
        root: the project directory.
        name: of the registered model.
        entry: what is going to be done.

    Returns:
        The id of its run, which :func:`write_outcome` finishes.
    """
    client, experiment = connect(root, EXPERIMENT)
    tags = {
        "model": name,
        "version": str(entry.version),
        "stage": entry.to,
        "from_version": str(entry.replaced or ""),
        "decision": entry.action,
        "who": entry.by,
        "why": entry.reason,
        "forced": ",".join(entry.overridden),
        "mlflow.user": entry.by,
        DOCUMENT: entry.model_dump_json(by_alias=True, exclude={"number", "outcome"}),
    }
    tags = {key: value for key, value in tags.items() if value}  # not every store takes empty ones
    run = client.create_run(experiment, tags=tags, run_name=f"{name} {entry.version} to {entry.to}")
    return str(run.info.run_id)


def write_outcome(registry: Registry, run_id: str, *, done: bool) -> None:
    """Finish the run of a decision: it was carried out, or nothing was changed."""
    registry.client.set_terminated(run_id, "FINISHED" if done else "FAILED")


def now() -> str:
    """Return the time as it is kept: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def checked_reason(reason: str) -> str:
    """Return a reason in one line.

    Raises:
        UserError: if it is too long.
    """
    line = " ".join(reason.split())
    if len(line) > LONGEST_REASON:
        raise UserError(f"--reason has {len(line)} characters, expected at most {LONGEST_REASON}")
    return line


def acting_user(root: Path = Path()) -> str:
    """Return who is at work: name and address as git knows them, else the account and the machine.

    Args:
        root: the project directory, whose git settings count.

    Returns:
        Such as ``Ann Lee <ann@example.org>`` or ``ann@node7``.
    """
    name, address = (_git_setting(root, key) for key in ("user.name", "user.email"))
    if name and address:
        return f"{name} <{address}>"
    if name or address:
        return name or address
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # containers run under numbers that no account has
        account = f"user {os.getuid()}"
    return f"{account}@{platform.node()}"


def _git_setting(root: Path, key: str) -> str:
    command = ["git", "-C", str(root), "config", "--get", key]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _old_outcome(tag: str | None) -> str:
    """What became of a promotion that is kept in tags."""
    try:
        return str(json.loads(tag or "")["outcome"])
    except (ValueError, KeyError, TypeError):
        return INTENDED
