from __future__ import annotations

import pickle

import numpy as np
import pytest

from matbind.materials.structure import Structure
from matbind.materials.symmetry import Symmetry, crystal_system, find_symmetries, find_symmetry
from tests.factories import copper, mixed, rocksalt, supercell, triclinic

FACES = [[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
EDGES = [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
PEROVSKITE = "221 1:1_-3mm|1:1_-3mm|3:3_/4mmm"


def perovskite(a: int = 38, b: int = 22, x: int = 8, *, b_at_origin: bool = False) -> Structure:
    sites = [[0.5, 0.5, 0.5], [0, 0, 0], *EDGES] if b_at_origin else [[0, 0, 0], [0.5, 0.5, 0.5], *FACES]
    return Structure.ordered(np.eye(3) * 3.9, sites, [a, b, x, x, x])


def fluorite() -> Structure:
    from pymatgen.core import Lattice
    from pymatgen.core import Structure as PymatgenStructure

    made = PymatgenStructure.from_spacegroup("Fm-3m", Lattice.cubic(5.46), ["Ca", "F"], [[0, 0, 0], [0.25] * 3])
    return Structure.from_pymatgen(made.get_primitive_structure())


def test_a_perovskite_has_its_space_group_and_orbits():
    found = find_symmetry(perovskite())
    assert found == Symmetry(221, PEROVSKITE, ((8, "3:3_/4mmm"), (22, "1:1_-3mm"), (38, "1:1_-3mm")))
    assert found is not None
    assert found.crystal_system == "cubic"


@pytest.mark.parametrize(
    "same",
    [
        perovskite(b_at_origin=True),  # Wyckoff letters b a d instead of a b c
        perovskite(56, 40, 16),
        supercell(perovskite(), (2, 1, 1)),
        Structure.ordered(np.eye(3) * 3.9, np.array([[0, 0, 0], [0.5] * 3, *FACES]) + 0.13, [38, 22, 8, 8, 8]),
    ],
    ids=["origin", "elements", "supercell", "shifted"],
)
def test_a_prototype_is_the_same_whatever_the_origin_the_elements_and_the_cell(same):
    found = find_symmetry(same)
    assert found is not None
    assert found.prototype == PEROVSKITE


@pytest.mark.parametrize(
    ("structure", "prototype"),
    [
        (copper(), "225 1:4_-3mm"),
        (rocksalt(), "225 1:4_-3mm|1:4_-3mm"),
        (fluorite(), "225 1:4_-3mm|2:8_-34m"),
        (triclinic(), "1 1:1_1|1:1_1|2:1_1,1_1"),
    ],
)
def test_prototypes_in_the_conventional_cell(structure, prototype):
    found = find_symmetry(structure)
    assert found is not None
    assert found.prototype == prototype


def test_mixed_sites_are_one_kind_named_by_their_heaviest_element():
    found = find_symmetry(mixed())
    assert found is not None
    assert (found.prototype, found.sites[-1]) == (PEROVSKITE, (56, "1:1_-3mm"))


def test_space_groups_agree_with_pymatgen():
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    for structure in (rocksalt(), fluorite(), triclinic()):
        analyzer = SpacegroupAnalyzer(structure.to_pymatgen(), symprec=0.01)
        found = find_symmetry(structure)
        assert found is not None
        assert found.space_group == analyzer.get_space_group_number()
        assert found.crystal_system == analyzer.get_crystal_system()


@pytest.mark.parametrize(
    ("space_group", "system"),
    [
        (1, "triclinic"),
        (2, "triclinic"),
        (3, "monoclinic"),
        (15, "monoclinic"),
        (16, "orthorhombic"),
        (74, "orthorhombic"),
        (75, "tetragonal"),
        (142, "tetragonal"),
        (143, "trigonal"),
        (167, "trigonal"),
        (168, "hexagonal"),
        (194, "hexagonal"),
        (195, "cubic"),
        (230, "cubic"),
    ],
)
def test_ends_of_the_crystal_systems(space_group, system):
    assert crystal_system(space_group) == system


@pytest.mark.parametrize("space_group", [0, 231])
def test_there_are_230_space_groups(space_group):
    with pytest.raises(ValueError, match="between 1 and 230"):
        crystal_system(space_group)


def test_sites_on_top_of_each_other_have_no_symmetry():
    assert find_symmetry(Structure.ordered(np.eye(3) * 3, [[0, 0, 0], [0, 0, 0]], [1, 1])) is None


class Elsewhere:
    """Workers that send everything through pickle, as another process would."""

    def map(self, function, items):
        for item in items:
            sent = pickle.loads(pickle.dumps((function, item)))  # noqa: S301
            yield pickle.loads(pickle.dumps(sent[0](sent[1])))  # noqa: S301


def test_workers_return_the_order_of_one_process():
    structures = [copper(), rocksalt(), triclinic(), rocksalt(), copper()]
    found = find_symmetries(iter(structures), workers=Elsewhere(), chunk_size=2)
    assert found == [find_symmetry(each) for each in structures]
