"""What was analysed: materials, combinations and where they come from."""

from __future__ import annotations

from typing import Any

from matbind.analysis.inputs import Inputs
from matbind.modalities.material import SPLITS
from matbind.modalities.store import Store
from matbind.modalities.table import modality_names


def describe(inputs: Inputs) -> dict[str, Any]:
    """Return the content of index.json."""
    stores = {name: Store(inputs.request.features / name) for name in modality_names()}
    runs = list(inputs.runs.values())
    trained = {
        name: {"run_id": run.get("run_id"), "hub": run["hub"], "modalities": inputs.combinations[name].modalities}
        for name, run in inputs.runs.items()
    }
    return {
        "seed": inputs.request.seed,
        **{key: _shared([run.get(key) for run in runs]) for key in ("data_md5", "git_commit")},
        "materials": {side: int((inputs.split == side).sum()) for side in SPLITS},
        "held": {
            side: {name: int(store.present[inputs.split == side].sum()) for name, store in stores.items()}
            for side in SPLITS
        },
        "combinations": trained | inputs.unavailable,
    }


def _shared(values: list[Any]) -> Any:
    """Return the value that all share, None if they differ."""
    return values[0] if all(value == values[0] for value in values) else None
