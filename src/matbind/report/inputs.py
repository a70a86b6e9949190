"""What the report is made of, read from the files of earlier stages; what is not there says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matbind.base.files import read_json
from matbind.modalities.combinations import all_combinations, parse_combination

FILES = (
    *("index", "perovskites", "maps", "helping", "probes", "fused", "robustness", "gallery", "geometry", "failures"),
    "parameters",
)
MAPS_TABLE = "maps.parquet"
UNAVAILABLE = "unavailable"

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Inputs:
    """All that the report draws from.

    Attributes:
        comparison: the content of metrics/comparison.json.
        answers: by name of `FILES` the content of the file, or ``{"unavailable": why}``.
        maps: path of the table of the maps, which may be missing.
        tuning: the content of metrics/tuning.json, None if it is not there.
        registry: the content of metrics/registry.json, None if it is not there.
        preset: name of the preset of the run.
        seed: of split, bootstrap and evaluation.
        runs_page: address that a run's id is put behind (``.../runs/``), None if it is not known.
    """

    comparison: Content
    answers: Mapping[str, Content]
    maps: Path
    tuning: Content | None
    registry: Content | None
    preset: str
    seed: int
    runs_page: str | None = None

    def trained(self) -> dict[str, Content]:
        """Return the entries of the comparison that did not fail, by combination."""
        return {name: entry for name, entry in self.comparison["combinations"].items() if "error" not in entry}

    def largest(self) -> str | None:
        """Return the trained combination of the most modalities, the first of several."""
        return max(self.trained(), key=lambda name: len(parse_combination(name).modalities), default=None)

    def seeds(self) -> list[int]:
        """Return the seeds of the trainings, those of the combination that was trained most often."""
        return list(max((entry["seeds"] for entry in self.trained().values()), key=len, default=()))

    def run_id(self, combination: str) -> str | None:
        """Return the tracking run that a combination was trained in."""
        run_id = self.comparison["combinations"].get(combination, {}).get("run_id")
        return None if run_id is None else str(run_id)

    def pairs(self, *kinds: str) -> Iterator[tuple[str, str, Content]]:
        """Yield combination, pair and result of every pair of these kinds."""
        for name, entry in self.trained().items():
            for pair, result in entry["pairs"].items():
                if result["kind"] in kinds:
                    yield name, pair, result


def read_answers(analysis: Path) -> dict[str, Content]:
    """Read what the analyse stage wrote: by name of `FILES` the content, or why it is not there.

    Combinations come in their order wherever they are keys; the files sort keys by letters.

    Raises:
        UserError: if a file is no JSON.
    """
    order = [combination.name for combination in all_combinations()]
    return {name: _ordered(_read(analysis / f"{name}.json"), order) for name in FILES}


def _read(path: Path) -> Any:
    if path.exists():
        return read_json(path)
    return {UNAVAILABLE: f"{path.name} is not there, the analyse stage did not write it"}


def _ordered(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_ordered(part, names) for part in value] if value and isinstance(value[0], dict | list) else value
    if not isinstance(value, dict):
        return value
    keys = sorted(value, key=names.index) if all(key in names for key in value) else value
    return {key: _ordered(value[key], names) for key in keys}


def reason(result: Any) -> str | None:
    """Return why a result is not available, None if it is."""
    if result is None:
        return "it was not computed"
    return str(result[UNAVAILABLE]) if isinstance(result, Mapping) and UNAVAILABLE in result else None


def available(results: Any) -> dict[str, Content]:
    """Return those of several results that are available."""
    if reason(results) is not None:
        return {}
    return {name: result for name, result in results.items() if reason(result) is None}


def leaves(results: Any, depth: int) -> Iterator[tuple[Any, ...]]:
    """Yield what is available in mappings of mappings: its keys, one a level, and then the result.

    Args:
        results: a mapping, or what stands in the place of one that is not available.
        depth: levels of mappings.
    """
    for name, result in available(results).items():
        for rest in leaves(result, depth - 1) if depth > 1 else [(result,)]:
            yield name, *rest


def bounds(result: Content, name: str = "ci95", *, of: str = "") -> dict[str, float | None]:
    """Return both ends of an interval as columns of a row, `low` and `high`; None where there is none.

    Args:
        result: holds the interval.
        name: of the interval.
        of: what goes before the names of the columns.
    """
    low, high = result.get(name) or (None, None)
    return {f"{of}low": low, f"{of}high": high}


def reasons(results: Any) -> str:
    """Say for several results why none of them is available: every reason once."""
    whole = reason(results)
    if whole is not None:
        return whole
    several = dict.fromkeys(why for result in results.values() if (why := reason(result)) is not None)
    return "; ".join(several) or "no combination was asked"
