from __future__ import annotations

import numpy as np
import pytest

from matbind.materials.strains import strain_projector
from matbind.materials.structure import Structure
from matbind.materials.symmetry import symmetry_rotations
from matbind.modalities.crystal.settings import TransformSettings as CrystalSettings
from matbind.modalities.crystal.transform import Transform as CrystalTransform
from matbind.modalities.pxrd.settings import TransformSettings as PatternSettings
from matbind.modalities.pxrd.transform import Transform as PatternTransform
from matbind.modalities.strain import Strain, draw_strain
from matbind.modalities.text.settings import TransformSettings as TextSettings
from matbind.modalities.text.transform import Transform as TextTransform
from tests.factories import material, rocksalt, simulated, store_of, triclinic


def projector(structure: Structure) -> np.ndarray:
    return strain_projector(symmetry_rotations(structure))


def rutile() -> Structure:
    coords = [
        [0, 0, 0],
        [0.5, 0.5, 0.5],
        [0.305, 0.305, 0],
        [0.695, 0.695, 0],
        [0.195, 0.805, 0.5],
        [0.805, 0.195, 0.5],
    ]
    return Structure.ordered(np.diag([4.594, 4.594, 2.959]), coords, [22, 22, 8, 8, 8, 8])


def draws(structure: Structure, *, volumetric: float, shape: float, n: int = 200) -> Strain:
    rng = np.random.default_rng(0)
    return draw_strain(np.repeat(projector(structure)[None], n, axis=0), volumetric=volumetric, shape=shape, rng=rng)


def test_no_strength_is_no_strain():
    np.testing.assert_array_equal(
        draws(triclinic(), volumetric=0, shape=0).gradient, np.broadcast_to(np.eye(3), (200, 3, 3))
    )


def test_the_volumetric_strain_is_isotropic_and_bounded():
    gradient = draws(triclinic(), volumetric=0.03, shape=0).gradient
    np.testing.assert_allclose(gradient, gradient[:, :1, :1] * np.eye(3), atol=1e-7)
    assert 0.028 < np.abs(gradient[:, 0, 0] - 1).max() <= 0.03 + 1e-6


def test_a_cubic_crystal_stays_cubic():
    gradient = draws(rocksalt(), volumetric=0.0, shape=0.02).gradient
    np.testing.assert_allclose(gradient, gradient[:, :1, :1] * np.eye(3), atol=1e-6)


def test_a_tetragonal_crystal_stays_tetragonal():
    gradient = draws(rutile(), volumetric=0.0, shape=0.02).gradient
    expected = np.zeros((200, 3, 3))
    expected[:, 0, 0] = expected[:, 1, 1] = gradient[:, 0, 0]
    expected[:, 2, 2] = gradient[:, 2, 2]
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    assert np.abs(gradient[:, 0, 0] - gradient[:, 2, 2]).max() > 0.02


def test_a_triclinic_crystal_is_sheared_as_strongly_as_the_settings_say():
    gradient = draws(triclinic(), volumetric=0.0, shape=0.02, n=4000).gradient
    assert np.std(gradient[:, 0, 0]) == pytest.approx(0.02, rel=0.05)
    assert np.std(gradient[:, 0, 1]) == pytest.approx(0.02 / np.sqrt(2), rel=0.05)
    np.testing.assert_array_equal(gradient, gradient.transpose(0, 2, 1))


def test_symmetry_operations_survive_the_strain():
    from matbind.materials.symmetry import symmetry_rotations

    structure = rutile()
    for gradient in draws(structure, volumetric=0.03, shape=0.02, n=5).gradient:
        strained = Structure.ordered(structure.lattice @ gradient, structure.frac_coords, structure.atomic_number)
        assert len(symmetry_rotations(strained)) == 16


def test_the_inverse_undoes_the_gradient():
    strain = draws(triclinic(), volumetric=0.05, shape=0.02, n=5)
    np.testing.assert_allclose(strain.inverse @ strain.gradient, np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-5)


def test_some_of_the_strains_by_mask_or_position():
    strain = draws(triclinic(), volumetric=0.05, shape=0.0, n=3)
    np.testing.assert_array_equal(strain.of(np.array([True, False, True])).gradient, strain.gradient[[0, 2]])
    np.testing.assert_array_equal(strain.of(np.array([2, 0])).gradient, strain.gradient[[2, 0]])


def test_edges_peaks_and_named_lengths_grow_by_the_same_factor(tmp_path):
    given = material(
        rocksalt(5.64), pxrd=simulated(rocksalt(5.64)), text="Na is bonded to Cl with lengths of 2.82 Å and 90°."
    )
    grown = Strain(np.eye(3, dtype=np.float32)[None] * 1.02)
    index = np.array([0])
    quiet = PatternSettings(
        crystallite_size_nm=(300, 300), zero_shift_deg=0, texture=0, noise=0, background=0, hidden=0
    )
    crystal = CrystalTransform(store_of(tmp_path, "crystal", [given]), CrystalSettings(jitter_angstrom=0))
    pattern = PatternTransform(store_of(tmp_path, "pxrd", [given], {"n_bins": 8501}), quiet)
    text = TextTransform(
        store_of(tmp_path, "text", [given], {"min_count": 1}),
        TextSettings(drop_sentences=0, drop_tokens=0, train_tokens=0, short=0),
    )
    rng = np.random.default_rng(0)
    plain, strained = crystal(index), crystal(index, strain=grown)
    np.testing.assert_allclose(strained.graph.edge_attr / plain.graph.edge_attr, 1.02, rtol=1e-5)
    np.testing.assert_allclose(plain.long_range.g / strained.long_range.g, 1.02, rtol=1e-5)
    angle = [
        np.radians(5 + (batch.pattern[0].argmax().item() + 0.5) * 85 / 8501) / 2
        for batch in (pattern(index, rng=rng), pattern(index, rng=rng, strain=grown))
    ]
    assert np.sin(angle[0]) / np.sin(angle[1]) == pytest.approx(1.02, abs=5e-4)
    batch = text(index, strain=grown)
    assert batch.value.numpy().max() == 90
    assert sorted(batch.value[0].tolist())[-2] == pytest.approx(2.82 * 1.02)
