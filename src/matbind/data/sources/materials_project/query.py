"""What to download from the Materials Project."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from matbind.base.config import StrictModel
from matbind.base.errors import UserError

GNOME = "gnome_r2scan_statics"  # its materials are under CC BY-NC


def _unique(values: str | Iterable[Any]) -> tuple[Any, ...]:
    return (values,) if isinstance(values, str) else tuple(sorted(set(values)))


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError
    return pair


_Text = TypeVar("_Text", bound=str)
_Several = Annotated[tuple[_Text, ...], BeforeValidator(_unique)]
_Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Z][a-z]?$")]
_System = Annotated[str, StringConstraints(pattern=r"^([A-Z][a-z]?|\*)(-([A-Z][a-z]?|\*))*$")]
_Formula = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9().*]+$")]
_Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]+-[A-Za-z0-9]+$")]
_Gap = Annotated[tuple[float, float], BeforeValidator(tuple), AfterValidator(_ascending)]


class Query(StrictModel):
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
    """

    model_config = ConfigDict(strict=True)

    elements: _Several[_Symbol] = Field((), description="symbols of elements such as Li")
    exclude_elements: _Several[_Symbol] = Field((), description="symbols of elements such as Li")
    chemsys: _Several[_System] = Field((), description="chemical systems such as Ba-Ti-O")
    formula: _Several[_Formula] = Field((), description="formulas such as BaTiO3 or, for all of a kind, ABO3")
    material_ids: _Several[_Id] = Field((), description="ids such as mp-149")
    max_sites: int | None = Field(None, ge=1, description="a whole number of at least 1")
    energy_above_hull: float | None = Field(None, ge=0, description="0 or more")
    band_gap_ev: _Gap | None = Field(None, description="the lowest and the highest gap in eV")
    theoretical: bool | None = Field(None, description="true or false")
    only_with_dos: bool = Field(False, description="true or false")  # the default
    limit: int | None = Field(None, ge=1, description="a whole number of at least 1")

    def __init__(self, **values: Any) -> None:
        """Check the values; raise UserError if one is not of its kind."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name, *inside = first["loc"]
            expected = type(self).model_fields[str(name)].description
            verb = "holds" if inside else "is"
            raise UserError(f"query: {name} {verb} {first['input']!r}, expected {expected}") from None

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
        return bool(self.material_ids) and self == Query(material_ids=self.material_ids)
