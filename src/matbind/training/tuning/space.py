"""Settings by dotted name: the space that is searched, checked at its ends, and tuned values, laid over params.yaml.

`tuned.yaml` holds the preset it was made for, what the trials began with, one line a tuned setting, and in comments
where they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from matbind.base.errors import UserError
from matbind.base.files import written_whole
from matbind.modalities.combinations import Combination, parse_combination
from matbind.settings.params import Settings
from matbind.settings.tune import Scalar, TuneSettings

TUNED = Path("tuned.yaml")
Values = dict[str, Scalar]
LENGTH = ("training.epochs", "training.validate_every", "training.patience")  # of a trial: tune.epochs says it
SECTIONS = "model, training, deformation, modalities.<name>.transform and modalities.<name>.encoder"

Section = TypeVar("Section")


def apply_values(settings: Settings, values: Mapping[str, Any], *, source: str) -> Settings:
    """Lay values over settings.

    Args:
        settings: stay as they are.
        values: by dotted name, such as ``model.temperature``.
        source: what a message calls the place of the values.

    Raises:
        UserError: if a name is no setting that training uses, or a value is not allowed.
    """
    for name, value in values.items():
        if not _trained_on(name):
            raise UserError(f"{source}: {name} cannot be tuned, expected a setting of {SECTIONS}")
        settings = _replaced(settings, name.split("."), value, name=name, source=source)
    return settings


def apply_tuned(settings: Settings, path: Path = TUNED, *, log: Callable[[str], None] = lambda _: None) -> Settings:
    """Lay what the tune stage chose over the settings; without its file they stay as they are.

    A setting that is not what its trials began with was changed by the user since, and stays.

    Args:
        settings: stay as they are.
        path: of the file.
        log: is told in a sentence of each setting that stays.

    Raises:
        UserError: if the file is no mapping of settings, was made for another preset, or a value is not allowed.
    """
    if not path.exists():
        return settings
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: this is not valid YAML, run the tune stage again or remove the file") from error
    if not isinstance(content, dict) or not isinstance(content.get("start"), dict) or "preset" not in content:
        raise UserError(f"{path}: expected preset, start and dotted names of settings, run the tune stage again")
    if content["preset"] != settings.preset:
        raise UserError(
            f"{path}: it was tuned for the preset {content['preset']!r}, the settings are of {settings.preset!r}; run "
            "the tune stage for it or remove the file"
        )
    start: Values = content["start"]
    chosen = {str(name): value for name, value in content.items() if name not in {"preset", "start"}}
    tuned = apply_values(settings, {**start, **chosen}, source=str(path))
    for name, begin in start.items():
        value = value_of(settings, name)
        if value == begin:
            continue
        tuned = apply_values(tuned, {name: value}, source="params.yaml")
        log(
            f"{name} is {value!r}, as you set it, not {chosen.get(name, begin)!r}, which the tuning chose beginning at "
            f"{begin!r}; to tune from {value!r}, make it the start of {name} in tune.space"
        )
    return tuned


def write_tuned(
    path: Path, values: Mapping[str, Scalar], *, preset: str, start: Mapping[str, Scalar], comments: Sequence[str]
) -> None:
    """Write what :func:`apply_tuned` reads, whole or not at all.

    Args:
        path: of the file.
        values: what was chosen, where it is not the start.
        preset: what it was tuned for.
        start: the values of trial 0.
        comments: lines at the top.
    """
    content = {"preset": preset, "start": dict(start), **values}
    lines = "".join(f"# {comment}\n" for comment in comments)
    with written_whole(path) as partial:
        partial.write_text(lines + yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def value_of(settings: Settings, name: str) -> Any:
    """Return the value of a setting by its dotted name.

    Raises:
        KeyError: if there is none of that name.
    """
    section: Any = settings
    for key in name.split("."):
        section = _children(section)[key]
    return section


def trial_values(tune: TuneSettings, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that a trial lays over params.yaml: its values, and a short training, validated after every epoch."""
    return {**values, **dict(zip(LENGTH, (tune.epochs, 1, tune.epochs), strict=True))}


def check_space(settings: Settings, tune: TuneSettings) -> None:
    """Check every parameter of the space at its ends.

    Raises:
        UserError: if a name is no setting, or its range or choices are refused.
    """
    where = "params.yaml: tune.space"
    for name, parameter in tune.space.items():
        if name in LENGTH:
            raise UserError(f"{where}: {name} cannot be tuned, the length of a trial is tune.epochs")
        for value in parameter.ends():
            apply_values(settings, {name: value}, source=where)


def combination_of(settings: Settings, tune: TuneSettings) -> Combination:
    """Return the combination that is tuned on.

    Raises:
        UserError: if it is none, or a single modality, which has no aligned pairs.
    """
    try:
        combination = parse_combination(tune.combination, settings.hub_order)
    except ValueError as error:
        raise UserError(f"params.yaml: tune.combination: {error}") from error
    if combination.is_single:
        raise UserError(
            f"params.yaml: tune.combination is {combination.name}, expected two modalities or more: aligned pairs"
        )
    return combination


def _trained_on(name: str) -> bool:
    """Return whether training, and nothing before it, uses the setting."""
    parts = name.split(".")
    if parts[0] == "modalities":
        return len(parts) > 3 and parts[2] in {"transform", "encoder"}  # noqa: PLR2004  # modalities.<name>.<part>.<key>
    return len(parts) > 1 and parts[0] in {"model", "training", "deformation"}


def _children(section: Any) -> dict[str, Any]:
    if isinstance(section, BaseModel):
        return {field.alias or key: getattr(section, key) for key, field in type(section).model_fields.items()}
    return dict(section) if isinstance(section, Mapping) else {}


def _replaced(section: Section, keys: list[str], value: Any, *, name: str, source: str) -> Section:
    """Copy a section with one value replaced and validated."""
    key, *rest = keys
    children = _children(section)
    if key not in children:
        known = f", expected one of {', '.join(children)}" if children else ""
        raise UserError(f"{source}: {name} is no setting: {key!r} is unknown{known}")
    below = _children(children[key])
    if below and not rest:
        raise UserError(f"{source}: {name} is a section of settings, expected one of {', '.join(below)}")
    children[key] = _replaced(children[key], rest, value, name=name, source=source) if rest else value
    if not isinstance(section, BaseModel):
        return children  # type: ignore[return-value]  # a mapping of a section
    try:
        return type(section).model_validate(children)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"{source}: {name} cannot be {value!r}: {message[0].lower()}{message[1:]}") from error
