from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matbind.serving.gallery import Gallery, Keys


@pytest.fixture
def gallery() -> Gallery:
    materials = pl.DataFrame(
        {
            "material_id": ["a", "b", "c"],
            "formula": ["BaTiO3", "Na0.5Cl", "Ca(NiO2)4"],
            "split": ["train", "test", "train"],
        }
    )
    return Gallery(materials, {"dos": Keys(np.array([0, 2]), np.array([[0.6, 0.8], [1.0, 0.0]], dtype=np.float32))})


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [True, True, True]),
        ({"contains": ["O"]}, [True, False, True]),
        ({"contains": ["O", "Ba"]}, [True, False, False]),
        ({"only": ["Na", "Cl", "O"]}, [False, True, False]),
        ({"without": ["Ni", "Cl"]}, [True, False, False]),
        ({"contains": ["O"], "without": ["Ba"]}, [False, False, True]),
    ],
)
def test_elements_are_filtered(gallery: Gallery, filters: dict[str, list[str]], expected: list[bool]) -> None:
    assert gallery.allowed(**filters).tolist() == expected


def test_what_is_no_element_is_refused(gallery: Gallery) -> None:
    with pytest.raises(ValueError, match="'Xx' is no chemical element, expected symbols such as Ba"):
        gallery.allowed(contains=["Xx"])


def test_it_is_the_same_after_writing_in_half_precision(gallery: Gallery, tmp_path: Path) -> None:
    gallery.write(tmp_path)

    stored = Gallery.read(tmp_path)

    assert stored.keys["dos"].rows.tolist() == [0, 2]
    np.testing.assert_allclose(stored.keys["dos"].vectors, gallery.keys["dos"].vectors, atol=5e-4)
    assert stored.describe(1) == {"material_id": "b", "formula": "Na0.5Cl", "split": "test"}


def test_others_may_read_what_was_written(gallery: Gallery, tmp_path: Path) -> None:
    gallery.write(tmp_path)

    assert all(path.stat().st_mode & 0o044 for path in tmp_path.iterdir())
