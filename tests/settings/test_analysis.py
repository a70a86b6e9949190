from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from matbind.settings.analysis import Strengths, robustness_model


@pytest.mark.parametrize("given", [[], [0.1, 0.2], [0.0, 0.2, 0.1], [0.0, 0.1, 0.1]])
def test_strengths_ascend_from_zero(given):
    with pytest.raises(ValidationError, match="have to ascend from 0"):
        TypeAdapter(Strengths).validate_python(given)


def test_every_perturbation_has_its_strengths():
    sections = {name: set(field.annotation.model_fields) for name, field in robustness_model().model_fields.items()}
    assert sections == {
        "dos": {"shift", "broadening"},
        "pxrd": {"noise", "background", "shift", "broadening", "low_angles_missing", "high_angles_missing"},
    }
