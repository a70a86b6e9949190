"""The compare stage: all combinations beside each other and beside a linear baseline, as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from matbind.base.errors import UserError
from matbind.base.files import write_json
from matbind.evaluation.baseline import baseline_embeddings
from matbind.evaluation.comparison import assemble_comparison, to_markdown
from matbind.evaluation.retrieval import evaluate_pairs
from matbind.modalities.combinations import all_combinations
from matbind.modalities.pxrd.features import binned_pattern
from matbind.modalities.records import Records
from matbind.settings.params import Settings

BASELINE_BINS = 425  # of the 2-theta axis (0.2 degrees) and of the energy axis
BASELINE_WINDOW_EV = (-15.0, 10.0)


def compare(
    settings: Settings,
    *,
    metrics: Path,
    records: Path,
    out: Path,
    reports: Path,
    data_md5: str | None,
    git_commit: str | None,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Gather what the combinations reached on the test split.

    Args:
        settings: all settings.
        metrics: holds one JSON file a combination.
        records: the records directory, for the baseline.
        out: the comparison, JSON.
        reports: gets comparison.md.
        data_md5: version of the data.
        git_commit: version of the code.
        log: is told the progress in sentences.

    Returns:
        The comparison, as in the file.

    Raises:
        UserError: if no combination was trained, or metrics of different data lie side by side.
    """
    names = [combination.name for combination in all_combinations(settings.hub_order)]
    paths = [metrics / f"{name}.json" for name in names]
    runs = [json.loads(path.read_text()) for path in paths if path.exists()]
    if not runs:
        raise UserError(
            f"{metrics}: no combination's metrics are here, expected {names[0]}.json and others; run the ablate stage"
        )
    log("fitting the linear baseline")
    comparison = assemble_comparison(
        runs, baseline=linear_baseline(settings, records), data_md5=data_md5, git_commit=git_commit
    )
    reports.mkdir(parents=True, exist_ok=True)
    (reports / "comparison.md").write_text(to_markdown(comparison))
    write_json(out, comparison)
    log(f"{len(runs)} combinations compared: {out}, {reports / 'comparison.md'}")
    return comparison


def linear_baseline(settings: Settings, records: Path) -> dict[str, dict[str, Any]]:
    """Retrieval by ridge regression from every spoke to composition and lattice, on the same test split."""
    from matbind.modalities.dos.features import binned_density

    structures, texts, patterns, densities, split = [], [], [], [], []
    for material in Records(records).materials():
        structures.append(material.structure)
        texts.append(material.values.get("text"))
        split.append(material.split)
        patterns.append(
            _or_none(lambda m: binned_pattern(m.values["pxrd"].intensity, n_bins=BASELINE_BINS), material, "pxrd")
        )
        densities.append(
            _or_none(
                lambda m: binned_density(
                    m.values["dos"],
                    n_atoms=float(m.structure.occupancy.sum()),
                    window_ev=BASELINE_WINDOW_EV,
                    n_bins=BASELINE_BINS,
                ),
                material,
                "dos",
            )
        )
    baseline = baseline_embeddings(structures=structures, texts=texts, pxrd=patterns, dos=densities, split=split)
    return {
        name: result.as_dict()
        for name, result in evaluate_pairs(
            *baseline, seed=settings.seed, chunk_size=settings.evaluation.chunk_size
        ).items()
    }


def _or_none(make: Callable[[Any], Any], material: Any, name: str) -> Any:
    """A feature, None where the material lacks the modality or its value cannot be used."""
    if name not in material.values:
        return None
    try:
        return np.nan_to_num(make(material))
    except ValueError:
        return None
