"""Read params.yaml: a bad key or value names itself, its place and what is allowed.

The file has one section a stage, one block a modality, and a `preset`. A preset holds everything that depends on the
size of the machine (grids, network sizes, epochs); the block `presets.<preset>` is laid over the rest of the file, and
no key may stand in both places, so every value has one place.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError, create_model

from matbind.base.errors import UserError
from matbind.modalities import combinations
from matbind.modalities.table import modality_names, part
from matbind.settings.analysis import robustness_model
from matbind.settings.modality import ModalitySettings
from matbind.settings.params import Settings
from matbind.settings.prepare import PrepareSettings

PARAMS_FILE = Path("params.yaml")
_PARTS = ("features", "transform", "encoder")


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
    """Validate settings given as nested dictionaries, as :func:`load`."""
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
            f"{source}: modalities is missing, expected one block for each of {', '.join(modality_names())}"
        )
    _check_names(list(blocks), "modalities", source)
    order = merged.get("hub_order")
    _check_names(order if isinstance(order, list) else [order], "hub_order", source, every=False)
    merged["validate"] = _validation(merged.get("validate"), source)
    merged["prepare"] = _validated(
        _prepare_model(modality_names()), merged.get("prepare") or {}, prefix="prepare.", source=source
    )
    merged["modalities"] = {m: _modality(m, blocks[m], source) for m in modality_names()}
    _check_robustness(merged.get("analysis"), source)
    settings: Settings = _validated(Settings, merged, prefix="", source=source)
    _check_combinations(settings, source)
    for name in settings.training.learning_rate_factors:
        if name not in modality_names():
            allowed = ", ".join(modality_names())
            raise UserError(
                f"{source}: training.learning_rate_factors names the unknown modality {name!r}, expected {allowed}"
            )
    _check_features_fit_records(settings, source)
    return settings


def _check_combinations(settings: Settings, source: str) -> None:
    if settings.ablate.combinations is None:
        return
    if not settings.ablate.combinations:
        raise UserError(f"{source}: ablate.combinations is empty, expected combinations, or null for all of them")
    seen: set[str] = set()
    for given in settings.ablate.combinations:
        try:
            name = combinations.parse_combination(given, hub_order=settings.hub_order).name
        except ValueError as error:
            raise UserError(f"{source}: ablate.combinations: {error}") from error
        if name in seen:
            raise UserError(f"{source}: ablate.combinations names {name} twice, expected each combination once")
        seen.add(name)


def _check_robustness(block: Any, source: str) -> None:
    strengths = block.get("robustness", {}) if isinstance(block, dict) else None
    if isinstance(strengths, dict):
        _validated(robustness_model(), strengths, prefix="analysis.robustness.", source=source)


def _check_features_fit_records(settings: Settings, source: str) -> None:
    for name in modality_names():
        check = getattr(part(name, "features"), "check_records", None)
        if check is not None:
            try:
                check(settings.modalities[name].features, settings.records(name))
            except ValueError as error:
                raise UserError(f"{source}: modalities.{name}.features.{error}") from error


def _check_names(names: list[Any], key: str, source: str, *, every: bool = True) -> None:
    """Refuse unknown and repeated names, and where `every` is named, missing ones."""
    allowed = modality_names()
    for name in names:
        if name not in allowed:
            raise UserError(f"{source}: {key} names the unknown modality {name!r}, expected {', '.join(allowed)}")
    if len(set(names)) != len(names) or (every and set(names) != set(allowed)):
        raise UserError(f"{source}: {key} has {', '.join(map(str, names))}, expected each of {', '.join(allowed)} once")


def _modality(name: str, block: Any, source: str) -> ModalitySettings:
    if not isinstance(block, dict) or set(block) != set(_PARTS):
        keys = ", ".join(map(str, block)) if isinstance(block, dict) else repr(block)
        renamed = "; what was called views is called transform now" if "views" in keys.split(", ") else ""
        raise UserError(
            f"{source}: modalities.{name} has {keys}, expected the blocks {', '.join(_PARTS)} here and in the preset"
            f"{renamed}"
        )
    models = {
        "features": part(name, "features").Settings,
        "transform": part(name, "transform").Settings,
        "encoder": part(name, "encoder").Settings,
    }
    return ModalitySettings(
        **{
            key: _validated(model, block[key] or {}, prefix=f"modalities.{name}.{key}.", source=source)
            for key, model in models.items()
        }
    )


def _validation(block: Any, source: str) -> dict[str, Any]:
    if not isinstance(block, dict):
        raise UserError(
            f"{source}: validate is {block!r}, expected one block for each of {', '.join(modality_names())}"
        )
    _check_names(list(block), "validate", source)
    return {
        name: _validated(
            part(name, "validation").Settings, block[name] or {}, prefix=f"validate.{name}.", source=source
        )
        for name in modality_names()
    }


@cache
def _prepare_model(names: tuple[str, ...]) -> type[PrepareSettings]:
    """The settings of prepare with a section for each modality whose records have settings."""
    sections = {name: getattr(part(name, "records"), "Settings", None) for name in names}
    fields: dict[str, Any] = {name: (model, ...) for name, model in sections.items() if model is not None}
    return create_model("PrepareSettings", __base__=PrepareSettings, **fields)


def _validated(model: type[Any], values: Any, *, prefix: str, source: str) -> Any:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{source}: {_sentence(error, model, prefix)}") from error


def _sentence(error: ValidationError, model: type[BaseModel], prefix: str) -> str:
    first = error.errors()[0]
    key = prefix + ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        section = model
        for part in first["loc"][:-1]:
            section = _model_of(section.model_fields[str(part)].annotation)
        return f"unknown key {key}, expected one of {', '.join(_keys(section))}"
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
            raise UserError(f"{source}: {path}.{key} is set outside the preset too, expected one place for each value")
    return merged
