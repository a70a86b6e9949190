"""Crystal structures from CIF and VASP files."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from matbind.base.content import bare_name, lines_of, parse_xml, read_bytes, read_text, refusals_of
from matbind.materials.structure import Structure, row_of
from matbind.modalities.crystal.records import COLUMNS as TABLE_COLUMNS

SUFFIXES = (".cif", "contcar", ".vasp", "poscar", "vasprun.xml")
QUALIFIERS: tuple[str, ...] = ()
COLUMNS: dict[str, Any] = {
    **{name: dtype for name, dtype in TABLE_COLUMNS.items() if name != "material_id"},
    "site_index": pl.List(pl.Int32),
    "occupancy": pl.List(pl.Float64),
    "warning": pl.String,
}
OCCUPANCY_TOLERANCE = 1.05  # thirds rounded up, or a refinement just above 1: scaled down to 1
SITE_TOLERANCE = 1e-3  # fractional; coordinates such as 0.333 are meant to be 1/3
DALTON_PER_ANGSTROM3 = 1.66053907  # g / cm^3
LEAST_DENSITY, LEAST_DENSITY_LIGHT = 1.0, 0.4  # g / cm^3; potassium has 0.86, lithium 0.53
HEAVIEST_LIGHT, HEAVIEST_GAS = 19, 2  # atomic numbers of potassium and helium
BLOCK = re.compile(r"^data_(\S*)", re.IGNORECASE)
SITES = re.compile(r"^\s*_atom_site[_.](?:fract|cartn)_x\b", re.IGNORECASE | re.MULTILINE)
SYMBOL = re.compile(r"[A-Za-z]+")
HARMLESS = (
    "rounded to ideal values",
    "Skipping relative stoichiometry check",
    "No _symmetry_equiv_pos_as_xyz type key",
)


@dataclass(frozen=True, slots=True, eq=False)
class ReadStructure:
    """A crystal from a file."""

    structure: Structure  # the cell as the file gives it, symmetry applied
    formula: str  # reduced formula; deuterium counts as hydrogen
    warnings: tuple[str, ...]  # sentences on what may be wrong with it


def cif_blocks(text: str) -> list[tuple[str, str]]:
    """Find the data blocks of a CIF that hold atoms.

    Returns:
        Name and text of each, in their order; a name that stands again gets a number.
    """
    blocks: list[tuple[str, list[str]]] = []
    in_text = False
    for line in lines_of(text):
        if line.startswith(";"):
            in_text = not in_text
        header = None if in_text else BLOCK.match(line)
        if header:
            blocks.append((header[1], []))
        if blocks:
            blocks[-1][1].append(line)
    named: dict[str, str] = {}
    for name, lines in blocks:
        block = "\n".join(lines)
        if not SITES.search(block):
            continue
        unique, n = name, 1
        while unique in named:
            n += 1
            unique = f"{name}-{n}"
        named[unique] = block
    return list(named.items())


def read_structure(path: Path, *, block: str | None = None) -> ReadStructure:
    """Read a crystal from a CIF, a VASP structure (POSCAR, CONTCAR, .vasp) or a vasprun.xml, packed by gzip or not.

    Args:
        path: of the file; one that ends neither in `.cif` nor in `.xml` is read as a POSCAR.
        block: name of the data block of a CIF, as :func:`cif_blocks` gives it; by default its only one with atoms.

    Raises:
        UserError: if the file is damaged, holds no atoms or several structures, names no elements, or describes no
            crystal, such as one with occupancies above 1.
    """
    with refusals_of(path):
        name = bare_name(path)
        if name.endswith(".cif"):
            return cif_structure(read_text(path), block)
        if name.endswith(".xml"):
            return _vasprun(path)
        return poscar_structure(read_text(path))


def likeness(path: Path) -> float:
    """Return 1 if a file holds atoms: a CIF may hold a powder pattern instead; other files of these names do."""
    return float(not bare_name(path).endswith(".cif") or SITES.search(read_text(path)) is not None)


def blocks(path: Path) -> list[str]:
    """Return the names of the data blocks of a CIF that hold atoms; none for files of other kinds."""
    return [name for name, _ in cif_blocks(read_text(path))] if bare_name(path).endswith(".cif") else []


def row(path: Path, *, block: str | None, **_: Any) -> dict[str, Any]:
    """Read a structure as a row of `COLUMNS`; see :func:`read_structure` for errors."""
    contents = read_structure(path, block=block)
    return row_of(contents.structure, contents.formula) | {"warning": "; ".join(contents.warnings) or None}


def cif_structure(text: str, name: str | None = None) -> ReadStructure:
    """Read a crystal from the text of a CIF, or from its data block of that name; see :func:`read_structure`."""
    from pymatgen.io.cif import CifParser

    blocks = dict(cif_blocks(text))
    if not blocks:
        raise ValueError("the CIF holds no atoms (no _atom_site_fract_x), expected a structure")
    if name is None and len(blocks) > 1:
        raise ValueError(f"the CIF holds {len(blocks)} structures ({', '.join(list(blocks)[:5])}), expected one")
    if name is not None and name not in blocks:
        raise ValueError(f"the CIF holds no structure {name}, but {', '.join(list(blocks)[:5])}")
    block = blocks[name] if name is not None else next(iter(blocks.values()))
    with _quiet() as caught:
        parser = CifParser.from_str(block, occupancy_tolerance=OCCUPANCY_TOLERANCE, site_tolerance=SITE_TOLERANCE)
        _check_symbols(parser)
        _keep_space_groups(parser)
        structures = parser.parse_structures(primitive=False, on_error="raise")
    words = [_one_line(w) for w in (*getattr(parser, "warnings", ()), *(str(w.message) for w in caught))]
    doubts = tuple(dict.fromkeys(w for w in words if not any(harmless in w for harmless in HARMLESS)))
    return _described(structures[0], doubts, without_symmetry=_is_p1(block))


def _check_symbols(parser: Any) -> None:
    """Refuse atoms whose element is unknown: pymatgen would leave them out in silence."""
    from pymatgen.core.periodic_table import Element

    for data in parser.as_dict().values():
        symbols = data.get("_atom_site_type_symbol", data.get("_atom_site_label", []))
        for symbol in [symbols] if isinstance(symbols, str) else symbols:
            letters = SYMBOL.match(symbol)
            word = letters[0] if letters else ""
            if not any(Element.is_valid_symbol(part.capitalize()) for part in (word[:2], word[:1])):
                raise ValueError(f"the atom {symbol!r} names no element")


def _keep_space_groups(parser: Any) -> None:
    """Make and keep the groups that pymatgen would make anew for each file without operators, at a second each."""
    operators = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")
    names = ("_symmetry_space_group_name_H-M", "_space_group_name_H-M_alt")
    for data in parser.as_dict().values():
        if not any(data.get(key) for key in operators):
            for name in names:
                if isinstance(data.get(name), str):
                    _space_group(re.sub(r"[\s_]", "", data[name]))


@cache
def _space_group(name: str) -> Any:
    from pymatgen.symmetry.groups import SYMM_DATA, SpaceGroup

    known = {re.sub(r"[\s_]", "", key): key for key in SYMM_DATA["space_group_encoding"]}
    return SpaceGroup(known[name]) if name in known else None


def _is_p1(block: str) -> bool:
    return len(re.findall(r"^\s*\d*\s*['\"]?\s*[-+]?[xyz\d/+-]+\s*,[^,\n]+,[^,\n]+$", block, re.MULTILINE)) <= 1


def poscar_structure(text: str) -> ReadStructure:
    """Read a crystal from the text of a POSCAR; see :func:`read_structure`."""
    from pymatgen.io.vasp.inputs import Poscar

    with _quiet() as caught:
        poscar = Poscar.from_str(text, read_velocities=False)
    doubts = [_one_line(str(w.message)) for w in caught]
    if any("cannot be determined" in words for words in doubts):
        raise ValueError("the POSCAR names no elements; write their symbols in the line above the counts")
    return _described(poscar.structure, tuple(doubts), without_symmetry=False)


def _vasprun(path: Path) -> ReadStructure:
    parse_xml(read_bytes(path))
    from pymatgen.io.vasp.outputs import Vasprun

    with _quiet():
        run = Vasprun(str(path), parse_dos=False, parse_eigen=False, parse_potcar_file=False)
    return _described(run.final_structure, (), without_symmetry=False)


def _described(structure: Any, doubts: tuple[str, ...], *, without_symmetry: bool) -> ReadStructure:
    from pymatgen.core.composition import Composition
    from pymatgen.core.periodic_table import Element

    crystal = Structure.from_pymatgen(structure)
    amounts = np.bincount(crystal.atomic_number, weights=crystal.occupancy)
    present = np.flatnonzero(amounts)
    formula = Composition({Element.from_Z(int(z)): float(amounts[z]) for z in present}).reduced_formula
    heaviest = int(present[-1])
    mass = sum(float(Element.from_Z(int(z)).atomic_mass) * amounts[z] for z in present)
    density = DALTON_PER_ANGSTROM3 * mass / crystal.volume_angstrom3
    least = LEAST_DENSITY if heaviest > HEAVIEST_LIGHT else LEAST_DENSITY_LIGHT
    if heaviest > HEAVIEST_GAS and density < least:
        cause = (
            "perhaps an asymmetric unit written without its symmetry" if without_symmetry else "check cell and atoms"
        )
        doubts = (f"its density is only {density:.2f} g/cm3: {cause}", *doubts)
    return ReadStructure(crystal, formula, doubts)


@contextmanager
def _quiet() -> Iterator[list[Any]]:
    """Collect what pymatgen warns of, and turn its exceptions, which the file's content causes, into ValueErrors."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield caught
        except ValueError as error:
            raise ValueError(
                _one_line(str(error)).removeprefix("No structure parsed for section 1 in CIF. ")
            ) from error
        except Exception as error:
            raise ValueError(f"it cannot be understood ({type(error).__name__}: {_one_line(str(error))})") from error


def _one_line(text: str) -> str:
    return " ".join(text.split())
