from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice
from pymatgen.core import Structure as PymatgenStructure

from matbind.materials.strains import from_mandel, strain_projector, to_mandel
from matbind.materials.structure import Structure
from matbind.materials.symmetry import symmetry_rotations
from tests.factories import triclinic

FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
ISOTROPIC = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]) / np.sqrt(3.0)


def rutile() -> Structure:
    lattice = Lattice.tetragonal(4.594, 2.959)
    return Structure.from_pymatgen(
        PymatgenStructure.from_spacegroup("P4_2/mnm", lattice, ["Ti", "O"], [[0.0, 0.0, 0.0], [0.305, 0.305, 0.0]])
    )


def test_a_slightly_distorted_cell_still_gives_an_exact_group():
    noisy = FCC * 3.61 + np.array([[0, 1, -2], [3, -1, 0], [0, 2, 1]]) * 1e-4
    rotations = symmetry_rotations(Structure.ordered(noisy, [[0, 0, 0]], [29]))
    assert len(rotations) == 48
    np.testing.assert_allclose(strain_projector(rotations), np.outer(ISOTROPIC, ISOTROPIC), atol=1e-6)


def test_a_cubic_crystal_keeps_only_the_isotropic_strain():
    projector = strain_projector(symmetry_rotations(Structure.ordered(FCC * 3.61, [[0, 0, 0]], [29])))
    assert projector.dtype == np.float32
    np.testing.assert_allclose(projector, np.outer(ISOTROPIC, ISOTROPIC), atol=1e-6)


def test_without_rotations_only_the_isotropic_strain_is_kept():
    np.testing.assert_allclose(strain_projector(np.empty((0, 3, 3))), np.outer(ISOTROPIC, ISOTROPIC), atol=1e-6)


def test_a_triclinic_crystal_keeps_every_strain():
    np.testing.assert_allclose(strain_projector(symmetry_rotations(triclinic())), np.eye(6), atol=1e-6)


def test_a_tetragonal_crystal_keeps_a_and_c():
    strain = to_mandel(np.array([[0.01, 0.002, 0.003], [0.002, 0.03, 0.004], [0.003, 0.004, 0.05]]))
    kept = from_mandel(strain_projector(symmetry_rotations(rutile())) @ strain)
    np.testing.assert_allclose(kept, np.diag([0.02, 0.02, 0.05]), atol=1e-7)


@pytest.mark.parametrize("structure", [rutile(), triclinic()])
def test_the_projector_is_idempotent_and_keeps_uniform_expansion(structure):
    projector = strain_projector(symmetry_rotations(structure)).astype(np.float64)
    np.testing.assert_allclose(projector @ projector, projector, atol=1e-6)
    np.testing.assert_allclose(projector @ to_mandel(np.eye(3)), to_mandel(np.eye(3)), atol=1e-6)


def test_a_kept_strain_keeps_the_symmetry_of_the_strained_crystal():
    structure = rutile()
    projector = strain_projector(symmetry_rotations(structure))
    strain = from_mandel(projector @ np.array([0.03, -0.02, 0.01, 0.02, -0.01, 0.02]))
    strained = Structure.ordered(
        structure.lattice @ (np.eye(3) + strain), structure.frac_coords, structure.atomic_number
    )
    assert len(symmetry_rotations(strained)) == 16


def test_rotations_of_a_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"rotations has shape \(3, 3\)"):
        strain_projector(np.eye(3))


def test_mandel_vectors_keep_the_inner_product():
    rng = np.random.default_rng(0)
    first, second = (m + m.transpose(0, 2, 1) for m in rng.normal(size=(2, 5, 3, 3)))
    np.testing.assert_allclose(
        (to_mandel(first) * to_mandel(second)).sum(-1), np.einsum("nij,nij->n", first, second), atol=1e-12
    )
    np.testing.assert_allclose(from_mandel(to_mandel(first)), first, atol=1e-12)
