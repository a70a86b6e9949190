from __future__ import annotations

import bz2
import json
from importlib.resources import files

import numpy as np
import yaml

from matbind.materials.formula import ATOMIC_NUMBERS
from matbind.modalities.dos.valence import electrons_by_element

CHANGED = {"W", "Yb"}  # the Materials Project calculated them with other potentials later


def test_electrons_of_the_materials_project_are_those_of_its_potentials():
    vasp = files("pymatgen.io.vasp")
    symbols = yaml.safe_load((vasp / "MPRelaxSet.yaml").read_text())["POTCAR"]
    potentials = json.loads(bz2.decompress((vasp / "potcar-summary-stats.json.bz2").read_bytes()))["PBE"]
    valence: dict[str, set[float]] = {}
    for variants in potentials.values():
        for potential in variants:
            valence.setdefault(potential["symbol"], set()).add(potential["ZVAL"])

    ours = electrons_by_element("materials-project", {})

    electrons = {symbol: {ours[number]} for symbol, number in ATOMIC_NUMBERS.items() if number < len(ours)}
    expected = {element: valence[symbol] for element, symbol in symbols.items() if element not in CHANGED}
    assert {symbol: values for symbol, values in electrons.items() if not np.isnan(list(values)).any()} == expected
    assert len(expected) == 87
