"""All of params.yaml as typed settings; the larger sections have files of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny

from matbind.base.config import StrictModel
from matbind.settings.analysis import AnalysisSettings
from matbind.settings.complete import CompleteSettings
from matbind.settings.model import ModalitySettings, ModelSettings
from matbind.settings.prepare import PrepareSettings
from matbind.settings.tune import TuneSettings


class ParallelSettings(StrictModel):
    """Where the long computations run; changes no result.

    Attributes:
        workers: processes of this machine; 0 for one a core.
        dask: null, or the Dask cluster to use instead: `local`, or the address of a scheduler.
    """

    workers: int = Field(ge=0)
    dask: str | None


class DeformationSettings(StrictModel):
    """Random strain shared by all modalities of a material within one training step, symmetry kept."""

    volumetric: float = Field(ge=0, le=0.1)
    shape: float = Field(ge=0, le=0.1)


class TrainingSettings(StrictModel):
    """AdamW, its schedule and the stopping rule."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
    learning_rate_factors: dict[str, Annotated[float, Field(ge=0)]]
    weight_decay: float = Field(ge=0)
    warmup_share: float = Field(ge=0, lt=1)
    gradient_clip: float = Field(gt=0)
    ema_decay: float = Field(ge=0, lt=1)
    precision: str = Field(pattern="^(auto|float32|bfloat16)$")
    validate_every: int = Field(ge=1)
    patience: int = Field(ge=1)


class ValidationSettings(StrictModel):
    """The validate stage; every modality adds a block of its name.

    Attributes:
        data_docs: whether Great Expectations builds its pages too.
    """

    data_docs: bool

    def __getitem__(self, name: str) -> Any:
        """Return the block of a modality."""
        return getattr(self, name)


class AblateSettings(StrictModel):
    """How the 15 combinations are run: which of them, with which seeds, how many at a time, how often one is repeated.

    Attributes:
        seeds: of the trainings of every combination: first weights, order of the materials, augmentation. The top-level
            seed is that of the split, the bootstrap and the evaluation.
    """

    combinations: list[str] | None
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    workers: int = Field(ge=0)
    retries: int = Field(ge=0)


class EvaluationSettings(StrictModel):
    """Retrieval on the test split."""

    bootstrap_resamples: int = Field(ge=100)
    chunk_size: int = Field(ge=16)


class Settings(StrictModel):
    """All of params.yaml, with its preset laid over it."""

    preset: str
    seed: int = Field(ge=0)
    hub_order: tuple[str, ...]
    prepare: SerializeAsAny[PrepareSettings]  # with the sections that modalities add
    parallel: ParallelSettings
    complete: CompleteSettings
    validation: SerializeAsAny[ValidationSettings] = Field(
        alias="validate"
    )  # pydantic keeps the section's own name for itself
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
        """Return every setting as `section.key: value`, for a tracking run."""
        return flatten(self.model_dump(mode="json", by_alias=True))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Lay nested sections out as one level of `section.key: value`."""
    rows: dict[str, str] = {}
    for key, value in values.items():
        rows |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": str(value)}
    return rows
