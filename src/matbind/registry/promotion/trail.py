"""The trail of promotions: one MLflow run a decision, in an experiment of its own.

A run is made with all its tags before anything is changed and is finished after the alias was switched, so a process
that dies on the way leaves an open run: whether its switch took place is told by the alias.
"""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from matbind.base.errors import UserError
from matbind.registry.promotion.gates import Gate
from matbind.registry.registry import Registry
from matbind.tracking.record import KINDS, markdown_table
from matbind.tracking.runs import NOTE
from matbind.tracking.store import connect

EXPERIMENT = "matbind-promotions"
DONE, INTERRUPTED, INTENDED = "done", "interrupted", "intended"
OUTCOMES = {"FINISHED": DONE, "FAILED": INTERRUPTED, "KILLED": INTERRUPTED}  # by the status of the run
PROMOTE, ROLLBACK = "promote", "rollback"
NONE, STAGING, PRODUCTION, ARCHIVED = "none", "staging", "production", "archived"
LONGEST_REASON = 500
DOCUMENT = "matbind.promotion"  # the tag with all of an entry as JSON; the others are to search by
OLD = "promotion."  # begins the tags of the registered model in which earlier versions of matbind kept the trail


class Entry(BaseModel):
    """One promotion, archiving or rollback."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    number: int = 0  # its place in the trail, from 1
    at: str  # when, ISO 8601, UTC
    by: str  # who
    action: str  # promote or rollback
    version: int  # which version is moved
    source: str = Field(validation_alias="from", serialization_alias="from")  # its stage before
    to: str  # its stage after
    alias: str = ""  # which alias moves with it, empty if none does
    replaced: int | None = None  # the version that the alias pointed to before, None if to none
    reason: str = ""  # why, as given
    overridden: tuple[str, ...] = ()  # names of the gates that it failed and was forced through
    figures: Mapping[str, Mapping[str, int | float]] = {}  # means of recall@1, by ``candidate`` and ``champion``
    gates: tuple[Gate, ...] = ()  # what was asked of it
    classic_stages: bool = False  # whether MLflow's deprecated stages are set too
    outcome: str = INTENDED  # done, interrupted (nothing changed), intended: under way, or it died before the switch

    @property
    def points_to(self) -> int | None:
        """The version that the alias points to afterwards, None if it is taken away."""
        return None if self.to == ARCHIVED else self.version

    @property
    def means(self) -> dict[int, str]:
        """Mean recall@1 of the pairs they were trained for, such as ``aligned 0.500``, by version."""
        return {
            int(figures["version"]): f"{kind} {figures[key]:.3f}"
            for figures in self.figures.values()
            for kind in ("aligned", "view")
            if (key := f"recall_at_1.{kind}_mean") in figures
        }

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON; the keys are stable."""
        return self.model_dump(mode="json", by_alias=True)


def read_trail(registry: Registry, name: str, tags: Mapping[str, str]) -> tuple[list[Entry], str]:
    """Read the trail of a registered model that has these tags.

    Returns:
        The promotions, the oldest first; and a sentence about what cannot be read, empty if all can.

    Raises:
        UserError: if the store cannot be used.
    """
    entries, unread = [], ""
    if any(key.startswith(OLD) for key in tags):
        unread = (
            f"{name}: an earlier version of matbind kept promotions in its tags, which cannot be shown any more; the "
            "aliases still count"
        )
    for run_id, status, run_tags in registry.runs_about(name, EXPERIMENT):
        try:
            entry = Entry.model_validate_json(run_tags.get(DOCUMENT, ""))
        except ValidationError as error:
            reason = error.errors()[0]["msg"].lower()
            unread = (
                f"{name}: its run {run_id} holds no promotion that can be read ({reason}), the history leaves it out"
            )
        else:
            entries.append(entry.model_copy(update={"outcome": OUTCOMES.get(status, INTENDED)}))
    entries.sort(key=lambda entry: entry.at)
    return [entry.model_copy(update={"number": i}) for i, entry in enumerate(entries, start=1)], unread


def write_intent(root: Path, name: str, entry: Entry) -> str:
    """Add a decision on a registered model to the trail before it is carried out, and return the id of its run."""
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
        NOTE: describe(entry),
        DOCUMENT: entry.model_dump_json(by_alias=True, exclude={"number", "outcome"}),
    }
    tags = {key: value for key, value in tags.items() if value}  # not every store takes empty ones
    run = client.create_run(experiment, tags=tags, run_name=f"{name} {entry.version} to {entry.to}")
    return str(run.info.run_id)


def describe(entry: Entry) -> str:
    """Write a decision as Markdown: who and why, the conditions, the figures of both versions."""
    lines = [f"By {entry.by} at {entry.at}{', because ' + entry.reason if entry.reason else ''}."]
    conditions, figures = [], []
    for gate in entry.gates:
        met = "yes" if gate.passed else "no, overridden" if gate.name in entry.overridden else "no"
        conditions.append([gate.name, met, gate.says.replace("|", "/")])
    for who, means in entry.figures.items():
        recalls = (means.get(f"recall_at_1.{kind}_mean") for kind in KINDS)
        figures.append([who, str(means["version"]), *("" if mean is None else f"{mean:.3f}" for mean in recalls)])
    lines += ["", markdown_table(["condition", "met", ""], conditions)] if conditions else []
    lines += ["", markdown_table(["mean recall@1", "version", *KINDS], figures)] if figures else []
    return "\n".join(lines) + "\n"


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
    """Return who is at work, such as ``Ann Lee <ann@example.org>`` or ``ann@node7``.

    Name and address as git knows them in the project's directory, else the account and the machine.
    """
    command = ["git", "-C", str(root), "config", "--get-regexp", r"^user\.(name|email)$"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()  # noqa: S603
    except OSError:
        lines = []
    identity = {key: value for key, _, value in (line.partition(" ") for line in lines)}  # the last of a key counts
    name, address = identity.get("user.name"), identity.get("user.email")
    if name or address:
        return f"{name} <{address}>" if name and address else str(name or address)
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # containers run under numbers that no account has
        account = f"user {os.getuid()}"
    return f"{account}@{platform.node()}"
