from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pymatgen.core import Lattice
from pymatgen.core import Structure as PymatgenStructure

from matbind.materials.neighbors import neighbor_graph
from matbind.materials.structure import Structure

SAMPLE = Path(__file__).parents[2] / "data" / "structures.parquet"
FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])


def from_group(group: str, lattice: Lattice, species: list[str], coords: list[list[float]]) -> Structure:
    return Structure.from_pymatgen(PymatgenStructure.from_spacegroup(group, lattice, species, coords))


def rutile() -> Structure:
    return from_group("P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0.0, 0.0, 0.0], [0.305, 0.305, 0.0]])


def triclinic() -> Structure:
    lattice = Lattice.from_parameters(5.1, 6.3, 7.7, 81.0, 97.0, 106.0).matrix
    coords = [[0.11, 0.22, 0.33], [0.61, 0.05, 0.84], [0.37, 0.71, 0.12], [0.90, 0.55, 0.47]]
    return Structure.ordered(lattice, coords, [20, 14, 8, 8])


def sorted_rows(structure: Structure, **options) -> np.ndarray:
    """(n_sites, max_neighbors) ascending distances, rows in ascending order."""
    distance = np.sort(neighbor_graph(structure, **options).distance, axis=1)
    return distance[np.lexsort(distance.round(3).T[::-1])]


def oracle_rows(structure: Structure, cutoff: float, count: int) -> list[np.ndarray]:
    centers, _, _, distances = structure.to_pymatgen().get_neighbor_list(cutoff)
    return [np.sort(distances[centers == site])[:count] for site in range(structure.n_sites)]


def assert_equals_oracle(structure: Structure, *, cutoff: float = 8.0, count: int = 12) -> None:
    graph = neighbor_graph(structure, cutoff_angstrom=cutoff, max_neighbors=count)
    for row, neighbor, expected in zip(
        graph.distance, graph.neighbor, oracle_rows(structure, cutoff, count), strict=True
    ):
        np.testing.assert_allclose(np.sort(row[neighbor >= 0]), expected, atol=1.1e-4)


def test_fcc_copper_has_twelve_edges_of_one_length():
    graph = neighbor_graph(Structure.ordered(FCC * 3.61, [[0, 0, 0]], [29]))
    np.testing.assert_allclose(graph.distance, np.full((1, 12), 2.5527), atol=5e-5)
    assert (graph.neighbor == 0).all()
    assert len(np.unique(graph.edge_vector[0].round(3), axis=0)) == 12


def test_the_arrays_have_the_types_that_are_stored():
    graph = neighbor_graph(rutile(), max_neighbors=7)
    assert (graph.neighbor.dtype, graph.edge_vector.dtype) == (np.int32, np.float32)
    assert (graph.neighbor.shape, graph.edge_vector.shape) == ((6, 7), (6, 7, 3))


def test_two_lattice_constants_give_two_graphs():
    small, large = (neighbor_graph(Structure.ordered(FCC * a, [[0, 0, 0]], [29])) for a in (3.61, 4.05))
    np.testing.assert_allclose(large.distance / small.distance, 4.05 / 3.61, rtol=1e-6)


def test_rock_salt_has_six_unlike_neighbours_before_the_like_ones():
    graph = neighbor_graph(Structure.ordered(FCC * 5.64, [[0, 0, 0], [0.5, 0.5, 0.5]], [11, 17]))
    np.testing.assert_allclose(graph.distance[:, :6], 2.82, atol=1e-5)
    np.testing.assert_allclose(graph.distance[:, 6:], 3.98808, atol=1e-5)
    assert graph.neighbor[0].tolist() == [1] * 6 + [0] * 6
    assert graph.neighbor[1].tolist() == [0] * 6 + [1] * 6


def test_a_lone_molecule_is_padded_and_has_no_edge_to_itself():
    water = np.array([[0.0, 0.0, 0.0], [0.757, 0.586, 0.0], [-0.757, 0.586, 0.0]]) / 20.0
    graph = neighbor_graph(Structure.ordered(np.eye(3) * 20.0, water, [8, 1, 1]))
    assert graph.neighbor[:, 2:].tolist() == [[-1] * 10] * 3
    assert graph.neighbor[:, :2].tolist() == [[1, 2], [0, 2], [0, 1]]
    assert (graph.edge_vector[:, 2:] == 0).all()
    np.testing.assert_allclose(graph.distance[0, :2], 0.95731, atol=1e-5)


def test_edge_vectors_lead_to_an_image_of_the_neighbour():
    structure = triclinic()
    graph = neighbor_graph(structure)
    for site in range(structure.n_sites):
        target = structure.frac_coords[site] + graph.edge_vector[site] @ np.linalg.inv(structure.lattice)
        offset = target - structure.frac_coords[graph.neighbor[site]]
        np.testing.assert_allclose(offset, offset.round(), atol=1e-5)


def test_equal_distances_are_ordered_by_site_then_image():
    structure = Structure.ordered(np.eye(3) * 3.0, [[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17])
    graph = neighbor_graph(structure, max_neighbors=14)
    assert graph.neighbor[0].tolist() == [1] * 8 + [0] * 6
    images = (graph.edge_vector[0, 8:] / 3.0).round().astype(int).tolist()
    assert images == [[-1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_the_cutoff_bounds_every_edge():
    graph = neighbor_graph(triclinic(), cutoff_angstrom=3.0)
    assert graph.distance.max() <= 3.0
    assert (graph.neighbor == -1).any()


@pytest.mark.parametrize("count", [1, 12, 40])
@pytest.mark.parametrize("cutoff", [2.5, 5.0, 8.0])
def test_distances_equal_pymatgen(count, cutoff):
    for structure in (rutile(), triclinic()):
        assert_equals_oracle(structure, cutoff=cutoff, count=count)


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample of structures has not been pulled")
def test_distances_equal_pymatgen_on_real_crystals():
    rows = pl.read_parquet(SAMPLE, columns=["lattice", "atomic_numbers", "frac_coords"]).sample(20, seed=1)
    for row in rows.iter_rows(named=True):
        lattice, coords = (np.array(row[name]).reshape(-1, 3) for name in ("lattice", "frac_coords"))
        assert_equals_oracle(Structure.ordered(lattice, coords, row["atomic_numbers"]))


@pytest.mark.parametrize("shear", [3, 25, -400])
def test_a_skewed_cell_equals_the_reduced_one(shear):
    structure = triclinic()
    change = np.array([[1, 0, 0], [shear, 1, 0], [2, -shear, 1]])
    skewed = Structure.ordered(
        change @ structure.lattice, structure.frac_coords @ np.linalg.inv(change), structure.atomic_number
    )
    np.testing.assert_allclose(sorted_rows(skewed), sorted_rows(structure), atol=1.1e-4)


def test_a_supercell_repeats_the_distances_of_its_cell():
    structure = rutile()
    supercell = Structure.from_pymatgen(structure.to_pymatgen() * (2, 1, 3))
    np.testing.assert_allclose(sorted_rows(supercell), np.repeat(sorted_rows(structure), 6, axis=0), atol=1.1e-4)


def test_turning_and_shifting_the_crystal_keeps_all_distances():
    structure = triclinic()
    turn, _ = np.linalg.qr(np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 4.0], [5.0, 6.0, 0.0]]))
    moved = Structure.ordered(
        structure.lattice @ turn, structure.frac_coords + np.array([0.27, -3.4, 11.9]), structure.atomic_number
    )
    np.testing.assert_allclose(neighbor_graph(moved).distance, neighbor_graph(structure).distance, atol=1e-4)


def test_a_mixed_site_is_one_node():
    structure = Structure(FCC * 3.6, np.zeros((1, 3)), np.array([0, 0]), np.array([28, 29]), np.array([0.5, 0.5]))
    assert neighbor_graph(structure).neighbor.tolist() == [[0] * 12]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cutoff_angstrom": 0.0}, "cutoff_angstrom is 0.0"),
        ({"cutoff_angstrom": float("inf")}, "cutoff_angstrom is inf"),
        ({"max_neighbors": 0}, "max_neighbors is 0"),
    ],
)
def test_senseless_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        neighbor_graph(rutile(), **options)
