"""The compare stage: all combinations beside each other and beside a linear baseline, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matbind.base.errors import UserError
from matbind.base.files import read_json, write_json
from matbind.evaluation.baseline import baseline_embeddings, baseline_parts
from matbind.evaluation.comparison import assemble_comparison, recall_by_combination, recall_of_all, to_markdown
from matbind.evaluation.retrieval import MIN_ROWS, evaluate_pairs
from matbind.modalities.combinations import all_combinations, pair_name
from matbind.modalities.material import Split
from matbind.modalities.records import Records
from matbind.modalities.table import structure_name
from matbind.settings.params import Settings


def compare(
    settings: Settings,
    *,
    metrics: Path,
    records: Path,
    out: Path,
    recall: Path,
    summary: Path,
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
        recall: means of recall@1 by combination and kind of pair, JSON.
        summary: their means over the combinations, JSON.
        reports: gets comparison.md.
        data_md5: version of the data.
        git_commit: version of the code.
        log: takes the progress in sentences.

    Returns:
        The comparison, as in the file.

    Raises:
        UserError: if no combination was trained, or metrics of different data lie side by side.
    """
    names = [combination.name for combination in all_combinations(settings.hub_order)]
    paths = [metrics / f"{name}.json" for name in names]
    runs = [read_json(path) for path in paths if path.exists()]
    if not runs:
        raise UserError(
            f"{metrics}: no combination's metrics are here, expected {names[0]}.json and others; run the ablate stage"
        )
    log("fitting the linear baseline")
    baseline, unmeasured = linear_baseline(settings, records)
    comparison = assemble_comparison(
        runs, baseline=baseline, baseline_unmeasured=unmeasured, data_md5=data_md5, git_commit=git_commit
    )
    reports.mkdir(parents=True, exist_ok=True)
    (reports / "comparison.md").write_text(to_markdown(comparison))
    write_json(out, comparison)
    by_combination = recall_by_combination(comparison)
    write_json(recall, by_combination)
    write_json(summary, recall_of_all(by_combination))
    log(f"{len(runs)} combinations compared: {out}, {reports / 'comparison.md'}")
    return comparison


def linear_baseline(settings: Settings, records: Path) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Measure the linear baseline on the test split of the models.

    Returns:
        The results by pair, and why other pairs have none.
    """
    split: list[Split] = []
    descriptions: dict[str, list[Any]] = {name: [] for name in baseline_parts()}
    for material in Records(records).materials():
        split.append(material.split)
        values = {structure_name(): material.structure, **material.values}
        for name, module in baseline_parts().items():
            described = module.description(values[name], material.structure) if name in values else None
            descriptions[name].append(described)
    baseline = baseline_embeddings(descriptions, split)
    results = evaluate_pairs(*baseline, seed=settings.seed, chunk_size=settings.evaluation.chunk_size)
    pairs = [pair_name(*pair) for pair in baseline.combination.pairs()]
    reason = f"the baseline describes both modalities of fewer than {MIN_ROWS} test materials"
    return (
        {pair: result.as_dict() for pair, result in results.items()},
        {pair: reason for pair in pairs if pair not in results},
    )
