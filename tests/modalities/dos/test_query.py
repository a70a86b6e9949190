from __future__ import annotations

import json

import pytest

from matbind.modalities.dos.query import read


def dos_of(**changes: object) -> str:
    energies = [float(e) for e in range(-10, 11)]
    content = {"energies_ev": energies, "densities": [4.0] * 21, "efermi_ev": 1.0, "n_atoms": 2}
    return json.dumps({key: value for key, value in (content | changes).items() if value is not None})


def test_states_are_counted_an_atom() -> None:
    dos = read("dos", dos_of())

    assert dos.densities.tolist() == [2.0] * 21


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"efermi_ev": None}, "efermi_ev is missing"),
        ({"n_atoms": 0}, "n_atoms is 0, expected the number of atoms of the cell"),
        ({"densities": [0.0] * 21}, "no density is above zero"),
        ({"densities": "many"}, "densities"),
        ({"energies_ev": [[1.0]]}, "energies_ev has 2 dimensions"),
    ],
)
def test_a_dos_that_cannot_be_used_is_refused(changes: dict[str, object], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        read("dos", dos_of(**changes))


@pytest.mark.parametrize(
    ("value", "error"), [("[1", "this is no valid JSON"), ("[1]", "found list, expected a JSON object")]
)
def test_what_is_no_json_object_is_refused(value: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        read("dos", value)
