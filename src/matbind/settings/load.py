"""Read params.yaml: a bad key or value names itself, its place and what is allowed.

The file has one section a stage, one block a modality, and a `preset`. A preset holds everything that depends on the
size of the machine (grids, network sizes, epochs); the block `presets.<preset>` is laid over the rest of the file, and
no key may stand in both places, so every value has one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError, create_model

from matbind.base.errors import UserError, did_you_mean
from matbind.modalities import combinations
from matbind.modalities.table import modality_names, part
from matbind.settings.analysis import robustness_model
from matbind.settings.model import ModalitySettings, part_models
from matbind.settings.params import Settings, ValidationSettings
from matbind.settings.prepare import PrepareSettings
from matbind.settings.tune import SEARCHED

PARAMS_FILE = Path("params.yaml")
RETIRED = {
    "views": "what was called views is called transform now",
    "optimizer": "AdamW is the only optimizer now, remove the key",
}


def load(path: Path = PARAMS_FILE, *, preset: str | None = None) -> Settings:
    """Read and validate a params file.

    Args:
        path: the YAML file.
        preset: laid over the file instead of the preset it names.

    Raises:
        UserError: if the file is missing or no YAML, a key is unknown or missing, or a value is not allowed.
    """
    return parse(read(path), source=str(path), preset=preset)


def read(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """Read a params file as it stands.

    Raises:
        UserError: if the file is missing, no YAML, or no mapping.
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
    return raw


def parse(raw: Mapping[str, Any], *, source: str = "params.yaml", preset: str | None = None) -> Settings:
    """Validate settings given as nested dictionaries, as :func:`load`."""
    try:
        return _parse(dict(raw), preset)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error


def _parse(raw: dict[str, Any], preset: str | None) -> Settings:
    presets = raw.pop("presets", None)
    if not isinstance(presets, dict) or not presets:
        raise UserError("presets is missing, expected a section with at least one preset")
    name = preset if preset is not None else raw.get("preset")
    if not isinstance(name, str) or name not in presets:
        raise UserError(f"preset is {name!r}, expected one of {', '.join(map(str, presets))}")
    top = presets[name] or {}
    if not isinstance(top, dict):
        raise UserError(f"presets.{name} is {top!r}, expected sections of keys and values")
    merged = {**_lay_over(raw, top, path=f"presets.{name}"), "preset": name}
    blocks = _blocks(merged, "modalities")
    order = merged.get("hub_order")
    _check_names(order if isinstance(order, list) else [order], "hub_order", every=False)
    merged["validate"] = _validation(merged)
    merged["prepare"] = _validated(_prepare_model(modality_names()), merged.get("prepare") or {}, "prepare.")
    merged["modalities"] = {name: _modality(name, block) for name, block in blocks.items()}
    strengths = merged["analysis"].get("robustness", {}) if isinstance(merged.get("analysis"), dict) else None
    if isinstance(strengths, dict):
        _validated(robustness_model(), strengths, "analysis.robustness.")
    settings: Settings = _validated(Settings, merged, "")
    _check_combinations(settings)
    _check_seeds(settings.ablate.seeds)
    _check_names(list(settings.training.learning_rate_factors), "training.learning_rate_factors", every=False)
    _check_features_fit_records(settings)
    _check_searched(settings)
    return settings


def _check_searched(settings: Settings) -> None:
    for name in SEARCHED:
        if name not in settings.tune.space:
            raise UserError(
                f"tune.space.{name} is missing, which the tune stage takes from there alone; expected its range and "
                "start, or one choice to leave it out of the search, such as {choices: [1], start: 1}"
            )


def _check_combinations(settings: Settings) -> None:
    given = settings.ablate.combinations
    if given is None:
        return
    if not given:
        raise UserError("ablate.combinations is empty, expected combinations, or null for all of them")
    try:
        names = [combinations.parse_combination(name, hub_order=settings.hub_order).name for name in given]
    except ValueError as error:
        raise UserError(f"ablate.combinations: {error}") from error
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"ablate.combinations names {name} twice, expected each combination once")


def _check_seeds(seeds: tuple[int, ...]) -> None:
    for seed in seeds:
        if seeds.count(seed) > 1:
            raise UserError(f"ablate.seeds names {seed} twice, expected each seed once")


def _check_features_fit_records(settings: Settings) -> None:
    for name in modality_names():
        check = getattr(part(name, "settings"), "check_records", None)
        if check is not None:
            try:
                check(settings.modalities[name].features, settings.records(name))
            except ValueError as error:
                raise UserError(f"modalities.{name}.features.{error}") from error


def _check_names(names: list[Any], key: str, *, every: bool = True) -> None:
    """Refuse unknown and repeated names, and where `every` is named, missing ones."""
    allowed = modality_names()
    for name in names:
        if name not in allowed:
            raise UserError(f"{key} names the unknown modality {name!r}, expected {', '.join(allowed)}")
    if len(set(names)) != len(names) or (every and set(names) != set(allowed)):
        raise UserError(f"{key} has {', '.join(map(str, names))}, expected each of {', '.join(allowed)} once")


def _validation(merged: Mapping[str, Any]) -> Any:
    section = merged.get("validate")
    if not isinstance(section, dict):
        return _blocks(merged, "validate")  # refuses it
    general = {key: value for key, value in section.items() if key in ValidationSettings.model_fields}
    blocks = _blocks({"validate": {key: value for key, value in section.items() if key not in general}}, "validate")
    return _validated(validation_model(modality_names()), general | blocks, "validate.")


@cache
def validation_model(names: tuple[str, ...]) -> type[ValidationSettings]:
    """Return the settings of validate with a block for each modality."""
    fields: dict[str, Any] = {name: (part(name, "settings").ValidationSettings, ...) for name in names}
    return create_model("ValidationSettings", __base__=ValidationSettings, **fields)


def _blocks(merged: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a section that has a block for each modality, in the order of the table."""
    section = merged.get(key)
    if not isinstance(section, dict):
        state = "missing" if section is None else repr(section)
        raise UserError(f"{key} is {state}, expected one block for each of {', '.join(modality_names())}")
    _check_names(list(section), key)
    return {name: section[name] for name in modality_names()}


def _modality(name: str, block: Any) -> ModalitySettings:
    models = part_models(name)
    if not isinstance(block, dict) or set(block) != set(models):
        keys = ", ".join(map(str, block)) if isinstance(block, dict) else repr(block)
        raise UserError(
            f"modalities.{name} has {keys}, expected the blocks {', '.join(models)} here and in the preset"
            f"{_retired(block if isinstance(block, dict) else ())}"
        )
    return ModalitySettings(
        **{key: _validated(model, block[key] or {}, f"modalities.{name}.{key}.") for key, model in models.items()}
    )


@cache
def _prepare_model(names: tuple[str, ...]) -> type[PrepareSettings]:
    """Return the settings of prepare with a section for each modality whose records have settings."""
    sections = {name: getattr(part(name, "settings"), "RecordsSettings", None) for name in names}
    fields: dict[str, Any] = {name: (model, ...) for name, model in sections.items() if model is not None}
    return create_model("PrepareSettings", __base__=PrepareSettings, **fields)


def _validated(model: type[Any], values: Any, prefix: str) -> Any:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(_sentence(error, model, prefix)) from error


def _sentence(error: ValidationError, model: type[BaseModel], prefix: str) -> str:
    errors = error.errors()
    # A misspelt key is missing under its right name too, which would be told first and say less.
    first = next((fault for fault in errors if fault["type"] == "extra_forbidden"), errors[0])
    key = prefix + ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        *sections, last = first["loc"]
        for section in sections:  # one may be optional, or a key of a mapping
            if section not in model.model_fields:
                continue
            annotation = model.model_fields[str(section)].annotation
            choices = get_args(annotation) or (annotation,)
            model = next(choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel))
        allowed = [field.alias or name for name, field in model.model_fields.items()]
        meant = did_you_mean(str(last), allowed)
        return f"unknown key {key}{meant}, expected one of {', '.join(allowed)}{_retired([last])}"
    if first["type"] == "missing":
        return f"{key} is missing, expected a value"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key} is {first['input']!r}: {message[0].lower()}{message[1:]}"


def _retired(keys: Iterable[Any]) -> str:
    """Return what has to be said of the keys that earlier versions of the file had."""
    return "".join(f"; {RETIRED[key]}" for key in keys if key in RETIRED)


def _lay_over(base: dict[str, Any], top: dict[str, Any], *, path: str) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        if key not in merged:
            merged[key] = value
        elif isinstance(merged[key], dict) and isinstance(value, dict):
            merged[key] = _lay_over(merged[key], value, path=f"{path}.{key}")
        else:
            raise UserError(f"{path}.{key} is set outside the preset too, expected one place for each value")
    return merged
