"""All of params.yaml as typed settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, SerializeAsAny

from matbind.base.config import StrictModel
from matbind.settings.ablate import AblateSettings
from matbind.settings.analysis import AnalysisSettings
from matbind.settings.complete import CompleteSettings
from matbind.settings.deformation import DeformationSettings
from matbind.settings.evaluation import EvaluationSettings
from matbind.settings.modality import ModalitySettings
from matbind.settings.model import ModelSettings
from matbind.settings.parallel import ParallelSettings
from matbind.settings.prepare import PrepareSettings
from matbind.settings.training import TrainingSettings
from matbind.settings.tune import TuneSettings


class Settings(StrictModel):
    """All of params.yaml, with its preset laid over it."""

    preset: str
    seed: int = Field(ge=0)
    hub_order: tuple[str, ...]
    prepare: SerializeAsAny[PrepareSettings]  # with the sections of the modalities
    parallel: ParallelSettings
    complete: CompleteSettings
    validation: dict[str, Any] = Field(alias="validate")  # pydantic keeps the section's own name for itself
    modalities: dict[str, ModalitySettings]
    deformation: DeformationSettings
    model: ModelSettings
    training: TrainingSettings
    tune: TuneSettings
    ablate: AblateSettings
    evaluation: EvaluationSettings
    analysis: AnalysisSettings

    def records(self, name: str) -> Any:
        """Return the section `prepare.<name>` of a modality, None where it has none."""
        return self.prepare.records(name)

    def flat(self) -> dict[str, str]:
        """Every setting as `section.key: value`, for a tracking run."""
        return flatten(self.model_dump(mode="json", by_alias=True))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested sections as one level of `section.key: value`."""
    rows: dict[str, str] = {}
    for key, value in values.items():
        rows |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": str(value)}
    return rows
