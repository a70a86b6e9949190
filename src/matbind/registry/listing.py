"""The registered models as a list: versions, stages, figures, origin."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from matbind.registry.promotion.state import State, read_state
from matbind.registry.registry import SEEDS, Registry, Version
from matbind.tracking.record import KINDS, SEED

HEADER = ("  version", "stage", "aliases", "seed", "recall@1", "emergent", "data", "commit", "registered")
TO_THE_RIGHT = (0, 4, 5)
SHORT = 8
UNKNOWN = "unknown"


def read_states(registry: Registry, name: str | None = None) -> list[State]:
    """Read one registered model by its name or combination, else all by name but those without a whole version.

    Raises:
        UserError: if there is no model of this name, or the store cannot be used.
    """
    if name is not None:
        return [read_state(registry, name)]
    return [read_state(registry, model) for model in registry.names() if registry.versions(model)]


def describe(state: State) -> dict[str, Any]:
    """Describe a registered model for JSON; the keys are stable, what is not known is None.

    Returns:
        ``name``, ``combination``, ``champion`` and ``staging`` (numbers), and ``versions``, the newest first, each with
        ``version``, ``stage``, ``aliases``, ``seed`` (of its training, the best of ``seeds`` on validation),
        ``recall_at_1`` (means of aligned, emergent and view pairs, over the trainings with all seeds), ``data_md5``,
        ``git_commit``, ``run_id``, ``test_set_digest``, ``digest`` and ``registered_at`` (ISO 8601, UTC).
    """
    versions = list(state.versions.values())
    return {
        "name": state.name,
        "combination": versions[0].combination,
        "champion": state.champion,
        "staging": state.aliases.get("staging"),
        "versions": [_describe(state, version) for version in versions],
    }


def rows(model: Mapping[str, Any]) -> list[list[str]]:
    """Return the versions of a described model for a terminal of 100 columns; see `HEADER`."""
    return [
        [
            f"  {version['version']}",
            version["stage"],
            " ".join(version["aliases"]) or "-",
            _seed(version),
            _share(version["recall_at_1"]["aligned" if "+" in model["combination"] else "view"]),
            _share(version["recall_at_1"]["emergent"]),
            (version["data_md5"] or UNKNOWN)[:SHORT],
            (version["git_commit"] or UNKNOWN)[:SHORT],
            version["registered_at"][: len("2025-01-01")],
        ]
        for version in model["versions"]
    ]


def history(state: State) -> list[list[str]]:
    """Return the trail of promotions for a terminal: a line for what, then lines for who and why."""
    lines = []
    for entry in state.entries:
        replaced = f" (in place of {entry.replaced})" if entry.replaced and entry.points_to else ""
        what = f"version {entry.version}: {entry.source} -> {entry.to}{replaced}"
        head = [f"  {entry.number}", entry.at[: len("2025-01-01T00:00:00")].replace("T", " "), entry.action]
        details = {
            "by": entry.by,
            "because": entry.reason,
            "forced in spite of": ", ".join(entry.overridden),
            "recall@1": ", ".join(f"{mean} (version {number})" for number, mean in entry.means.items()),
        }
        lines.append([*head, entry.outcome, what])
        lines += [["", "", "", "", f"{about} {detail}"] for about, detail in details.items() if detail]
    return lines


def _describe(state: State, version: Version) -> dict[str, Any]:
    tags = {key: value for key, value in version.tags.items() if value != UNKNOWN}
    means = {kind: tags.get(f"recall_at_1.{kind}_mean") for kind in KINDS}
    return {
        "version": version.number,
        "stage": state.stage(version.number),
        "aliases": sorted(alias for alias, number in state.aliases.items() if number == version.number),
        "seed": int(tags[SEED]) if SEED in tags else None,
        "seeds": [int(seed) for seed in tags.get(SEEDS, "").split()],
        "recall_at_1": {kind: None if mean is None else float(mean) for kind, mean in means.items()},
        "data_md5": tags.get("data_md5"),
        "git_commit": tags.get("git_commit"),
        "run_id": version.run_id,
        "test_set_digest": tags.get("test_set_digest"),
        "digest": version.digest,
        "registered_at": datetime.fromtimestamp(version.created_ms / 1000, UTC).isoformat(timespec="seconds"),
    }


def _seed(version: Mapping[str, Any]) -> str:
    """Write the seed of the training that the version holds, and of how many it is the best on validation: ``2/3``."""
    if version["seed"] is None:
        return "-"
    n = len(version["seeds"])
    return f"{version['seed']}/{n}" if n > 1 else str(version["seed"])


def _share(mean: float | None) -> str:
    return "-" if mean is None else f"{mean:.3f}"
