"""Text of a crystal by Robocrystallographer: word for word the stock result, offline, several times faster.

What the stock wording leaves to Python's hash seed (whether octahedra are corner and edge-sharing or edge and
corner-sharing, and the order of the orientations of a component) is in alphabetical order here, so a structure has one
text. Molecules are not named. Needs the optional extra `text`.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from matbind.base.errors import UserError
from matbind.materials.structure import Structure


def describe(structure: Structure) -> str:
    """Describe an ordered crystal in words; oxidation states are guessed where possible.

    Args:
        structure: any cell; the text is of the conventional one.

    Returns:
        The text of `StructureDescriber().describe(StructureCondenser().condense_structure(...))` of robocrys.

    Raises:
        ValueError: if a site is partly occupied or holds several species.
        UserError: if robocrys is not installed.
        Exception: what robocrys, pymatgen or spglib raise for a cell they cannot handle.

    Source: Ganose and Jain, MRS Communications 9, 874 (2019).
    """
    if len(structure.atomic_number) != structure.n_sites or (structure.occupancy < 1).any():
        raise ValueError("The structure is disordered, expected one fully occupying species on each site.")
    text: str = _engine().describe(structure.to_pymatgen())
    return text


def provenance() -> str:
    """Return the method and the version of the library, which is not loaded for it: that takes seconds.

    Raises:
        UserError: if robocrys is not installed.
    """
    if find_spec("robocrys") is None:
        raise UserError(
            "Texts need robocrys, which is not installed: expected the extra `text` (pip install 'matbind[text]')."
        )
    return f"Robocrystallographer {version('robocrys')} (matbind)"


@cache
def _engine() -> Any:
    provenance()
    from matbind.data.completion.description_engine import Engine

    return Engine()
