from __future__ import annotations

import numpy as np
import pytest

from matbind.materials.strains import from_mandel, to_mandel
from matbind.materials.structure import Structure
from matbind.modalities.crystal import features as crystal
from matbind.modalities.crystal.settings import FeaturesSettings
from tests.factories import copper, material, mixed, rocksalt, triclinic

SETTINGS = FeaturesSettings(cutoff_angstrom=8.0, max_neighbors=12, g_stop_per_angstrom=0.95)


def featurized(structure: Structure, **changes: object) -> dict[str, np.ndarray]:
    settings = SETTINGS.model_copy(update=changes)
    arrays = crystal.Featurizer(settings, crystal.fit(iter(()), settings))(material(structure))
    assert arrays is not None
    return arrays


def lengths(arrays: dict[str, np.ndarray]) -> np.ndarray:
    return np.linalg.norm(arrays["edge_vector"], axis=-1)


def test_copper_has_twelve_edges_of_2_553_angstrom():
    arrays = featurized(copper(3.61))
    np.testing.assert_allclose(lengths(arrays), np.full((1, 12), 2.5527), atol=1e-4)
    assert arrays["neighbor"].tolist() == [[0] * 12]


def test_two_lattice_constants_give_two_graphs():
    np.testing.assert_allclose(
        lengths(featurized(copper(3.70))) / lengths(featurized(copper(3.61))), 3.70 / 3.61, rtol=1e-6
    )


def test_half_of_the_edges_of_rocksalt_are_not_shortened():
    first, second = 5.64 / 2, 5.64 / np.sqrt(2)
    np.testing.assert_allclose(lengths(featurized(rocksalt())), [[first] * 6 + [second] * 6] * 8, rtol=1e-6)


def test_a_lonely_atom_has_only_padding():
    arrays = featurized(Structure.ordered(np.eye(3) * 20.0, [[0.0, 0.0, 0.0]], [18]))
    assert arrays["neighbor"].tolist() == [[-1] * 12]
    assert not arrays["edge_vector"].any()


def test_mixed_sites_keep_every_species_with_its_occupancy():
    arrays = featurized(mixed())
    assert arrays["atomic_number"].tolist() == [38, 56, 22, 8, 8, 8]
    np.testing.assert_allclose(arrays["occupancy"], [0.3, 0.6, 1, 1, 1, 1])
    assert arrays["site_index"].tolist() == [0, 0, 1, 2, 3, 4]
    assert arrays["neighbor"].shape == (5, 12)


def test_a_cubic_crystal_keeps_its_symmetry_only_when_it_expands():
    projector = featurized(rocksalt())["strain_projector"]
    strain = from_mandel(projector @ to_mandel(np.diag([0.03, 0.0, 0.0])))
    np.testing.assert_allclose(strain, np.eye(3) * 0.01, atol=1e-6)


def test_a_triclinic_crystal_may_be_strained_in_every_way():
    np.testing.assert_allclose(featurized(triclinic())["strain_projector"], np.eye(6), atol=1e-6)


def test_long_range_order_may_be_left_out():
    arrays = featurized(rocksalt(), g_stop_per_angstrom=0.0)
    assert [len(arrays[name]) for name in ("g_vector", "element_pair", "partial")] == [0, 0, 0]


def test_there_is_one_partial_structure_factor_a_peak_and_pair():
    arrays = featurized(rocksalt())
    assert arrays["element_pair"].tolist() == [[11, 11], [11, 17], [17, 17]]
    assert len(arrays["partial"]) == 3 * len(arrays["g_vector"])


def test_arrays_fit_their_specs():
    arrays = featurized(triclinic())
    for name, spec in crystal.specs(SETTINGS).items():
        shape = arrays[name].shape[1:] if spec.ragged else arrays[name].shape
        assert shape == spec.row_shape, name


def test_an_element_that_the_encoder_does_not_know_is_refused():
    with pytest.raises(ValueError, match="atomic number 98 is beyond the encoder's 96 elements"):
        featurized(Structure.ordered(np.eye(3) * 4, [[0.0, 0.0, 0.0]], [98]))


@pytest.mark.parametrize(
    ("key", "value"), [("cutoff_angstrom", 0), ("max_neighbors", 0), ("g_stop_per_angstrom", -0.1)]
)
def test_settings_refuse(key, value):
    with pytest.raises(ValueError, match=key):
        FeaturesSettings(**(SETTINGS.model_dump() | {key: value}))
