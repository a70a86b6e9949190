"""What the report is made of, read from the files of earlier stages; what is not there says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matbind.base.files import read_json
from matbind.modalities.combinations import all_combinations, parse_combination

QUESTIONS = (
    "index",
    "perovskites",
    "maps",
    "helping",
    "probes",
    "fused",
    "robustness",
    "gallery",
    "geometry",
    "failures",
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
        answers: by name of `QUESTIONS` the content of its file, or ``{"unavailable": why}``.
        maps: path of the table of the maps, None if it is not there.
        tuning: the content of metrics/tuning.json, None if it is not there.
        registry: the content of metrics/registry.json, None if it is not there.
        preset: name of the preset of the run.
        seed: of the run.
        runs_page: address that a run's id is put behind (``.../runs/``), None if it is not known.
    """

    comparison: Content
    answers: Mapping[str, Content]
    maps: Path | None
    tuning: Content | None
    registry: Content | None
    preset: str
    seed: int
    runs_page: str | None = None

    def trained(self) -> dict[str, Content]:
        """Entries of the comparison that did not fail, by combination."""
        return {name: each for name, each in self.comparison["combinations"].items() if "error" not in each}

    def largest(self) -> str | None:
        """The trained combination of the most modalities, the first of several."""
        return max(self.trained(), key=lambda name: len(parse_combination(name).modalities), default=None)

    def run_id(self, combination: str) -> str | None:
        """The tracking run that a combination was trained in."""
        found = self.comparison["combinations"].get(combination, {}).get("run_id")
        return None if found is None else str(found)

    def pairs(self, *kinds: str) -> Iterator[tuple[str, str, Content]]:
        """Combination, pair and result of every pair of these kinds."""
        for name, entry in self.trained().items():
            for pair, result in entry["pairs"].items():
                if result["kind"] in kinds:
                    yield name, pair, result


def read_inputs(
    analysis: Path,
    *,
    comparison: Path,
    tuning: Path,
    registry: Path,
    preset: str,
    seed: int,
    runs_page: str | None = None,
) -> Inputs:
    """Read what there is; only the comparison has to be there.

    Args:
        analysis: the directory of the analyse stage.
        comparison: metrics/comparison.json.
        tuning: metrics/tuning.json, which may be missing.
        registry: metrics/registry.json, which may be missing.
        preset: of the run.
        seed: of the run.
        runs_page: see `Inputs`.

    Raises:
        UserError: if the comparison is missing, or a file is no JSON.
    """
    return Inputs(
        comparison=read_json(comparison),
        answers={name: _answer(analysis / f"{name}.json") for name in QUESTIONS},
        maps=path if (path := analysis / MAPS_TABLE).exists() else None,
        tuning=read_json(tuning) if tuning.exists() else None,
        registry=read_json(registry) if registry.exists() else None,
        preset=preset,
        seed=seed,
        runs_page=runs_page,
    )


def reason(result: Any) -> str | None:
    """Why a result is not available, None if it is."""
    if result is None:
        return "it was not computed"
    return str(result[UNAVAILABLE]) if isinstance(result, Mapping) and UNAVAILABLE in result else None


def available(results: Any) -> dict[str, Content]:
    """Those of several results that are available."""
    if reason(results) is not None:
        return {}
    return {name: each for name, each in results.items() if reason(each) is None}


def reasons(results: Any) -> str:
    """One sentence for several results, none of which is available: the reasons, each once."""
    whole = reason(results)
    if whole is not None:
        return whole
    told = dict.fromkeys(why for each in results.values() if (why := reason(each)) is not None)
    return "; ".join(told) or "no combination was asked"


def _answer(path: Path) -> Content:
    if not path.exists():
        return {UNAVAILABLE: f"{path.name} is not there, the analyse stage did not write it"}
    content: Content = _ordered(read_json(path), [each.name for each in all_combinations()])
    return content


def _ordered(value: Any, names: Sequence[str]) -> Any:
    """The same with combinations in their own order wherever they are keys; the files sort keys by letters."""
    if isinstance(value, list):
        return [_ordered(each, names) for each in value] if value and isinstance(value[0], dict | list) else value
    if not isinstance(value, dict):
        return value
    keys = sorted(value, key=names.index) if all(key in names for key in value) else value
    return {key: _ordered(value[key], names) for key in keys}
