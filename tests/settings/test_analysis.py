from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from matbind.analysis.measures.robustness import PERTURBATIONS
from matbind.settings.analysis import RobustnessSettings, Strengths


@pytest.mark.parametrize("given", [[], [0.1, 0.2], [0.0, 0.2, 0.1], [0.0, 0.1, 0.1]])
def test_strengths_ascend_from_zero(given):
    with pytest.raises(ValidationError, match="have to ascend from 0"):
        TypeAdapter(Strengths).validate_python(given)


def test_every_perturbation_has_its_strengths():
    named = {name: set(field.annotation.model_fields) for name, field in RobustnessSettings.model_fields.items()}
    assert named == {modality: set(kinds) for modality, kinds in PERTURBATIONS.items()}
