from __future__ import annotations

import pickle

import numpy as np
import pytest
from pymatgen.core import Lattice
from pymatgen.core import Structure as PymatgenStructure

from matbind.materials.structure import Structure
from matbind.materials.symmetry import (
    Symmetry,
    find_symmetries,
    find_symmetry,
    reduced_primitive_cell,
    symmetry_rotations,
)
from tests.factories import copper, mixed, rocksalt, supercell, triclinic

FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
FACES = [[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
EDGES = [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
PEROVSKITE = "221 1:1_-3mm|1:1_-3mm|3:3_/4mmm"


def perovskite(a: int = 38, b: int = 22, x: int = 8, *, b_at_origin: bool = False) -> Structure:
    sites = [[0.5, 0.5, 0.5], [0, 0, 0], *EDGES] if b_at_origin else [[0, 0, 0], [0.5, 0.5, 0.5], *FACES]
    return Structure.ordered(np.eye(3) * 3.9, sites, [a, b, x, x, x])


def from_group(group: str, lattice: Lattice, species: list[str], coords: list[list[float]]) -> Structure:
    return Structure.from_pymatgen(PymatgenStructure.from_spacegroup(group, lattice, species, coords))


def fluorite() -> Structure:
    conventional = from_group("Fm-3m", Lattice.cubic(5.46), ["Ca", "F"], [[0, 0, 0], [0.25] * 3])
    return Structure.from_pymatgen(conventional.to_pymatgen().get_primitive_structure())


def rutile() -> Structure:
    return from_group("P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0.0, 0.0, 0.0], [0.305, 0.305, 0.0]])


def test_a_perovskite_has_its_space_group_and_orbits():
    symmetry = find_symmetry(perovskite())
    assert symmetry == Symmetry(221, PEROVSKITE, ((8, "3:3_/4mmm"), (22, "1:1_-3mm"), (38, "1:1_-3mm")))
    assert symmetry is not None
    assert symmetry.crystal_system == "cubic"


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
    symmetry = find_symmetry(same)
    assert symmetry is not None
    assert symmetry.prototype == PEROVSKITE


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
    symmetry = find_symmetry(structure)
    assert symmetry is not None
    assert symmetry.prototype == prototype


def test_mixed_sites_are_one_kind_named_by_their_heaviest_element():
    symmetry = find_symmetry(mixed())
    assert symmetry is not None
    assert (symmetry.prototype, symmetry.sites[-1]) == (PEROVSKITE, (56, "1:1_-3mm"))


def test_space_groups_agree_with_pymatgen():
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    for structure in (rocksalt(), fluorite(), triclinic()):
        analyzer = SpacegroupAnalyzer(structure.to_pymatgen(), symprec=0.01)
        symmetry = find_symmetry(structure)
        assert symmetry is not None
        assert symmetry.space_group == analyzer.get_space_group_number()
        assert symmetry.crystal_system == analyzer.get_crystal_system()


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
    assert Symmetry(space_group, "", ()).crystal_system == system


def test_sites_on_top_of_each_other_have_no_symmetry():
    assert find_symmetry(Structure.ordered(np.eye(3) * 3, [[0, 0, 0], [0, 0, 0]], [1, 1])) is None


class Elsewhere:
    """Workers that send everything through pickle, as another process would."""

    def map(self, function, items):
        for item in items:
            sent = pickle.loads(pickle.dumps((function, item)))  # noqa: S301
            yield pickle.loads(pickle.dumps(sent[0](sent[1])))  # noqa: S301


def test_workers_return_the_order_of_one_process(monkeypatch):
    monkeypatch.setattr("matbind.materials.symmetry.CHUNK_SIZE", 2)
    structures = [copper(), rocksalt(), triclinic(), rocksalt(), copper()]
    symmetry = find_symmetries(iter(structures), workers=Elsewhere())
    assert symmetry == [find_symmetry(structure) for structure in structures]


@pytest.mark.parametrize(
    ("structure", "count"),
    [
        (Structure.ordered(FCC * 3.61, [[0, 0, 0]], [29]), 48),
        (rutile(), 16),
        (triclinic(), 1),
        (from_group("P6_3/mmc", Lattice.hexagonal(2.95, 4.68), ["Ti"], [[1 / 3, 2 / 3, 0.25]]), 24),
    ],
)
def test_the_point_group_has_its_order_and_is_orthogonal(structure, count):
    rotations = symmetry_rotations(structure)
    assert rotations.shape == (count, 3, 3)
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (count, 1, 1)), atol=1e-9)


def test_rotations_carry_the_crystal_into_itself_in_cartesian_space():
    structure = from_group("P6_3/mmc", Lattice.hexagonal(2.95, 4.68), ["Ti"], [[1 / 3, 2 / 3, 0.25]])
    images = symmetry_rotations(structure) @ structure.lattice.T
    fractional = np.linalg.inv(structure.lattice.T) @ images
    np.testing.assert_allclose(fractional, fractional.round(), atol=1e-6)


def test_translations_of_a_supercell_are_not_counted_as_rotations():
    supercell = Structure.from_pymatgen(Structure.ordered(FCC * 3.61, [[0, 0, 0]], [29]).to_pymatgen() * 2)
    assert len(symmetry_rotations(supercell)) == 48


@pytest.mark.parametrize(("share", "count"), [(0.5, 48), (0.6, 24)])
def test_only_sites_of_equal_occupancies_are_equivalent(share, count):
    structure = Structure(
        FCC * 5.4,
        np.array([[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]]),
        np.array([0, 0, 1, 1]),
        np.array([14, 32, 32, 14]),
        np.array([share, 1 - share, 0.5, 0.5]),
    )
    assert len(symmetry_rotations(structure)) == count


def test_two_atoms_in_one_place_leave_no_rotation():
    clash = Structure.ordered(np.eye(3) * 4.0, [[0, 0, 0], [0, 0, 0]], [29, 29])
    assert symmetry_rotations(clash).shape == (0, 3, 3)


def test_the_reduced_primitive_cell_is_that_of_whatever_cell_was_given():
    primitive = Structure.ordered(FCC * 3.61, [[0, 0, 0]], [29])
    lengths = np.linalg.norm(reduced_primitive_cell(primitive)[0], axis=1)
    np.testing.assert_allclose(lengths, [3.61 / np.sqrt(2)] * 3, atol=1e-6)
    repeated = Structure.from_pymatgen(primitive.to_pymatgen() * 2)
    cell, n_sites = reduced_primitive_cell(repeated)
    assert n_sites == 1
    np.testing.assert_allclose(np.linalg.norm(cell, axis=1), lengths, atol=1e-6)
