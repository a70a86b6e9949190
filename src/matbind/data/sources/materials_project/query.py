"""What to download from the Materials Project."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

from matbind.base.errors import UserError

GNOME = "gnome_r2scan_statics"  # its materials are under CC BY-NC
_ID = re.compile(r"[A-Za-z]+-[A-Za-z0-9]+")
_SYMBOL = re.compile(r"[A-Z][a-z]?")
_SYSTEM = re.compile(r"([A-Z][a-z]?|\*)(-([A-Z][a-z]?|\*))*")
_FORMULA = re.compile(r"[A-Za-z0-9().*]+")
_LISTS: dict[str, tuple[re.Pattern[str], str]] = {
    "elements": (_SYMBOL, "symbols of elements such as Li"),
    "exclude_elements": (_SYMBOL, "symbols of elements such as Li"),
    "chemsys": (_SYSTEM, "chemical systems such as Ba-Ti-O"),
    "formula": (_FORMULA, "formulas such as BaTiO3 or, for all of a kind, ABO3"),
    "material_ids": (_ID, "ids such as mp-149"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which materials; all conditions must hold, and without any it is the whole database.

    Deprecated materials and those under a licence other than CC BY 4.0 are never part of it.

    Attributes:
        elements: all of them are in the material.
        exclude_elements: none of them is.
        chemsys: exactly the elements of one of these systems, `Ba-Ti-O`; `*` stands for any element.
        formula: one of these formulas, reduced (`BaTiO3`) or anonymous (`ABC3`).
        material_ids: only these.
        max_sites: at most so many atoms in the cell.
        energy_above_hull: at most so far above the convex hull, eV/atom.
        band_gap_ev: lowest and highest gap, eV.
        theoretical: False for materials that were made, True for those only computed, None for both.
        only_with_dos: only materials with a density of states.
        limit: only the first so many, in the order of their ids.

    Raises:
        UserError: a value is not of its kind.
    """

    elements: tuple[str, ...] = ()
    exclude_elements: tuple[str, ...] = ()
    chemsys: tuple[str, ...] = ()
    formula: tuple[str, ...] = ()
    material_ids: tuple[str, ...] = ()
    max_sites: int | None = None
    energy_above_hull: float | None = None
    band_gap_ev: tuple[float, float] | None = None
    theoretical: bool | None = None
    only_with_dos: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        for name, (pattern, expected) in _LISTS.items():
            value = getattr(self, name)
            values = (value,) if isinstance(value, str) else tuple(value)
            wrong = [entry for entry in values if not isinstance(entry, str) or not pattern.fullmatch(entry)]
            if wrong:
                raise UserError(f"query: {name} holds {wrong[0]!r}, expected {expected}")
            object.__setattr__(self, name, tuple(sorted(set(values))))
        for name in ("max_sites", "limit"):
            _check(name, getattr(self, name), _is_count, "a whole number of at least 1")
        _check("energy_above_hull", self.energy_above_hull, lambda value: _is_number(value) and value >= 0, "0 or more")
        if self.band_gap_ev is not None:
            object.__setattr__(self, "band_gap_ev", tuple(self.band_gap_ev))
        _check("band_gap_ev", self.band_gap_ev, _is_range, "the lowest and the highest gap in eV")
        for name in ("theoretical", "only_with_dos"):
            _check(name, getattr(self, name), lambda value: isinstance(value, bool), "true or false")

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the summary route of the REST interface, but for ids, pages and fields."""
        parameters: dict[str, Any] = {"deprecated": False, "batch_id_not_eq": GNOME}
        for name in ("elements", "exclude_elements", "chemsys", "formula"):
            if getattr(self, name):
                parameters[name] = ",".join(getattr(self, name))
        bounds = {
            "nsites": self.max_sites and (1, self.max_sites),
            "energy_above_hull": None if self.energy_above_hull is None else (0.0, self.energy_above_hull),
            "band_gap": self.band_gap_ev,
        }
        for name, pair in bounds.items():
            if pair:
                parameters |= {f"{name}_min": pair[0], f"{name}_max": pair[1]}
        if self.theoretical is not None:
            parameters["theoretical"] = self.theoretical
        if self.only_with_dos:
            parameters["has_props"] = "dos"
        return parameters

    def names_materials_alone(self) -> bool:
        """Return whether it is a list of ids and nothing else, so that the database should have every one."""
        rest = {field.name: field.default for field in fields(self) if field.name != "material_ids"}
        return bool(self.material_ids) and all(getattr(self, name) == default for name, default in rest.items())

    def as_json(self) -> dict[str, Any]:
        """Return the query as it stands in a JSON file, with lists for tuples."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _check(name: str, value: Any, holds: Callable[[Any], bool], expected: str) -> None:
    if value is not None and not holds(value):
        raise UserError(f"query: {name} is {value!r}, expected {expected}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_range(value: Any) -> bool:
    return len(value) == 2 and all(map(_is_number, value)) and value[0] <= value[1]  # noqa: PLR2004
