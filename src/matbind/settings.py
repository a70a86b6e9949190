"""params.yaml as typed, validated settings: a bad key or value names itself, its place and what is allowed.

The file has one section a stage, one block a modality, and a `preset`. A preset holds everything that depends on the
size of the machine (grids, network sizes, epochs); the block `presets.<preset>` is laid over the rest of the file, and
no key may stand in both places, so every value has one home.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError

from matbind import modality
from matbind.analysis_settings import AnalysisSettings
from matbind.complete_settings import CompleteSettings
from matbind.errors import UserError
from matbind.strict import AngleRange, PositiveRange, StrictModel
from matbind.tuning_settings import TuneSettings

PARAMS_FILE = Path("params.yaml")
_PARTS = {"features": "features", "views": "views", "encoder": "encoders"}


class SplitSettings(StrictModel):
    """Shares of the reduced formulas that go to validation and test; the rest trains."""

    validation: float = Field(gt=0, lt=0.5)
    test: float = Field(gt=0, lt=0.5)


class PatternSettings(StrictModel):
    """How a powder pattern is simulated for a material that comes without a measured one."""

    wavelength_angstrom: float = Field(gt=0.1, lt=5)
    two_theta_deg: AngleRange
    n_points: int = Field(ge=100)
    crystallite_size_nm: PositiveRange


class PrepareSettings(StrictModel):
    """The prepare stage: read the source, simulate patterns, split."""

    source: Literal["tables", "folder", "materials-project"]
    data: Path
    wavelength: float | str | None
    limit: int | None = Field(ge=30)
    split: SplitSettings
    pxrd: PatternSettings


class ParallelSettings(StrictModel):
    """Where the long computations run; changes no result.

    Attributes:
        workers: processes of this machine; 0 for one a core.
        dask: null, or the Dask cluster to use instead: `local`, or the address of a scheduler.
    """

    workers: int = Field(ge=0)
    dask: str | None


class DeformationSettings(StrictModel):
    """Random strain shared by all views of a material within one training step, symmetry kept."""

    volumetric: float = Field(ge=0, le=0.1)
    shape: float = Field(ge=0, le=0.1)


class ModelSettings(StrictModel):
    """The shared space: projection heads and temperature."""

    projection_dim: int = Field(ge=2, le=4096)
    temperature: float = Field(gt=0, le=10)
    learn_temperature: bool


class TrainingSettings(StrictModel):
    """Optimiser, schedule and stopping rule."""

    optimizer: Literal["muon", "adamw"]
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


class AblateSettings(StrictModel):
    """How the 15 combinations are run: which of them, how many at a time, how often one is tried again."""

    combinations: list[str] | None
    workers: int = Field(ge=0)
    retries: int = Field(ge=0)


class EvaluationSettings(StrictModel):
    """Retrieval on the test split."""

    bootstrap_resamples: int = Field(ge=100)
    chunk_size: int = Field(ge=16)


class ModalitySettings(StrictModel):
    """What one modality is told: how it is featurized, viewed (augmented) and encoded.

    Each part is an instance of the `Settings` class of features/<name>.py, views/<name>.py and encoders/<name>.py.
    """

    features: Any
    views: Any
    encoder: Any


class Settings(StrictModel):
    """All of params.yaml, with its preset laid over it."""

    preset: str
    seed: int = Field(ge=0)
    hub_order: tuple[str, ...]
    prepare: PrepareSettings
    parallel: ParallelSettings
    complete: CompleteSettings
    validation: Any = Field(alias="validate")  # a ValidateSettings: pydantic keeps the section's own name for itself
    modalities: dict[str, ModalitySettings]
    deformation: DeformationSettings
    model: ModelSettings
    training: TrainingSettings
    tune: TuneSettings
    ablate: AblateSettings
    evaluation: EvaluationSettings
    analysis: AnalysisSettings

    def flat(self) -> dict[str, str]:
        """Every setting as `section.key: value`, for a tracking run."""
        return flatten(self.model_dump(mode="json", by_alias=True))


def load(path: Path = PARAMS_FILE, *, preset: str | None = None) -> Settings:
    """Read and validate a params file.

    Args:
        path: the YAML file.
        preset: laid over the file instead of the preset it names.

    Raises:
        UserError: if the file is missing or no YAML, a key is unknown or missing, or a value is not allowed.
    """
    if not path.exists():
        raise UserError(
            f"{path}: the file does not exist, expected the file of all settings in the directory you run in"
        )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: this is not a readable text file ({error})") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" line {where.line + 1}" if where else ""
        raise UserError(f"{path}{line}: this is not valid YAML ({getattr(error, 'problem', error)})") from error
    if not isinstance(raw, dict):
        raise UserError(f"{path}: found {type(raw).__name__}, expected sections of keys and values")
    return parse(raw, source=str(path), preset=preset)


def parse(raw: dict[str, Any], *, source: str = "params.yaml", preset: str | None = None) -> Settings:
    """Validate settings given as nested dictionaries; see :func:`load`."""
    raw = dict(raw)
    presets = raw.pop("presets", None)
    if not isinstance(presets, dict) or not presets:
        raise UserError(f"{source}: presets is missing, expected a section with at least one preset")
    name = preset if preset is not None else raw.get("preset")
    if not isinstance(name, str) or name not in presets:
        raise UserError(f"{source}: preset is {name!r}, expected one of {', '.join(map(str, presets))}")
    top = presets[name] or {}
    if not isinstance(top, dict):
        raise UserError(f"{source}: presets.{name} is {top!r}, expected sections of keys and values")
    merged = _lay_over(raw, top, path=f"presets.{name}", source=source)
    merged["preset"] = name
    blocks = merged.get("modalities")
    if not isinstance(blocks, dict):
        raise UserError(
            f"{source}: modalities is missing, expected one block for each of {', '.join(modality.MODALITIES)}"
        )
    _check_names(list(blocks), "modalities", source)
    order = merged.get("hub_order")
    _check_names(order if isinstance(order, list) else [order], "hub_order", source)
    merged["validate"] = _validation(merged.get("validate"), source)
    merged["modalities"] = {m: _modality(m, blocks[m], source) for m in modality.MODALITIES}
    settings: Settings = _validated(Settings, merged, prefix="", source=source)
    _check_combinations(settings, source)
    for name in settings.training.learning_rate_factors:
        if name not in modality.MODALITIES:
            allowed = ", ".join(modality.MODALITIES)
            raise UserError(
                f"{source}: training.learning_rate_factors names the unknown modality {name!r}, expected {allowed}"
            )
    _check_one_grid(settings, source)
    return settings


def _check_combinations(settings: Settings, source: str) -> None:
    if settings.ablate.combinations is None:
        return
    if not settings.ablate.combinations:
        raise UserError(f"{source}: ablate.combinations is empty, expected combinations, or null for all of them")
    seen: set[str] = set()
    for given in settings.ablate.combinations:
        try:
            name = modality.parse_combination(given, hub_order=settings.hub_order).name
        except ValueError as error:
            raise UserError(f"{source}: ablate.combinations: {error}") from error
        if name in seen:
            raise UserError(f"{source}: ablate.combinations names {name} twice, expected each combination once")
        seen.add(name)


def _check_one_grid(settings: Settings, source: str) -> None:
    """The network's bins are laid over the points of the records' patterns: both have to cover the same angles."""
    points, bins = settings.prepare.pxrd, settings.modalities["pxrd"].features
    for key in ("two_theta_deg", "wavelength_angstrom"):
        ours, theirs = getattr(bins, key), getattr(points, key)
        if ours != theirs:
            raise UserError(
                f"{source}: modalities.pxrd.features.{key} is {ours}, expected {theirs} as in prepare.pxrd.{key}"
            )
    if bins.n_bins > points.n_points:
        raise UserError(
            f"{source}: modalities.pxrd.features.n_bins is {bins.n_bins}, expected at most the {points.n_points} of "
            "prepare.pxrd.n_points"
        )


def _check_names(found: list[Any], key: str, source: str) -> None:
    allowed = modality.MODALITIES
    for name in found:
        if name not in allowed:
            raise UserError(f"{source}: {key} names the unknown modality {name!r}, expected {', '.join(allowed)}")
    missing = [name for name in allowed if name not in found]
    if missing or len(found) != len(allowed):
        raise UserError(f"{source}: {key} has {', '.join(map(str, found))}, expected each of {', '.join(allowed)} once")


def _modality(name: str, block: Any, source: str) -> ModalitySettings:
    if not isinstance(block, dict) or set(block) != set(_PARTS):
        found = ", ".join(map(str, block)) if isinstance(block, dict) else repr(block)
        raise UserError(f"{source}: modalities.{name} has {found}, expected the blocks {', '.join(_PARTS)}")
    parts = {}
    for part, package in _PARTS.items():
        model = importlib.import_module(f"matbind.{package}.{name}").Settings
        parts[part] = _validated(model, block[part] or {}, prefix=f"modalities.{name}.{part}.", source=source)
    return ModalitySettings(**parts)


def _validation(block: Any, source: str) -> Any:
    model = importlib.import_module("matbind.validation.stage").ValidateSettings
    return _validated(model, block or {}, prefix="validate.", source=source)


def _validated(model: type[Any], values: Any, *, prefix: str, source: str) -> Any:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{source}: {_sentence(error, model, prefix)}") from error


def _sentence(error: ValidationError, model: type[BaseModel], prefix: str) -> str:
    first = error.errors()[0]
    key = prefix + ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        home = model
        for part in first["loc"][:-1]:
            home = _model_of(home.model_fields[str(part)].annotation)
        return f"unknown key {key}, expected one of {', '.join(_keys(home))}"
    if first["type"] == "missing":
        return f"{key} is missing, expected a value"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key} is {first['input']!r}: {message[0].lower()}{message[1:]}"


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_of(annotation: Any) -> type[BaseModel]:
    """The settings class of a field, which may be optional."""
    choices = get_args(annotation) or (annotation,)
    return next(choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel))


def _lay_over(base: dict[str, Any], top: dict[str, Any], *, path: str, source: str) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        if key not in merged:
            merged[key] = value
        elif isinstance(merged[key], dict) and isinstance(value, dict):
            merged[key] = _lay_over(merged[key], value, path=f"{path}.{key}", source=source)
        else:
            raise UserError(f"{source}: {path}.{key} is set outside the preset too, expected one home for each value")
    return merged


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested sections as one level of `section.key: value`."""
    rows: dict[str, str] = {}
    for key, value in values.items():
        rows |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": str(value)}
    return rows
