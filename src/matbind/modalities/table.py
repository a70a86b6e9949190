"""The modalities there are: the one place that names them, and how any other reaches a part of one.

A modality is a folder; `matbind.modalities.protocol` says what is in it. A fifth is one more line of `TABLE`.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from matbind.modalities.protocol import (
        BaselinePart,
        EncoderPart,
        FeaturesPart,
        FilesPart,
        PerturbationsPart,
        QueryPart,
        RecordsPart,
        SettingsPart,
        TransformPart,
        ValidationPart,
    )

TABLE: dict[str, str] = {
    "crystal": "matbind.modalities.crystal",
    "dos": "matbind.modalities.dos",
    "pxrd": "matbind.modalities.pxrd",
    "text": "matbind.modalities.text",
}
"""Package of every modality by its name, in the order in which combinations are written.

The first is the structure, which every material has; the others are values that it may have.
"""

HUB_ORDER: tuple[str, ...] = ("crystal", "text", "pxrd", "dos")
"""The hub of a combination is the first of these that is in it, unless the settings say otherwise."""

OPTIONAL_PARTS = frozenset({"perturbations", "baseline"})


def modality_names() -> tuple[str, ...]:
    """Names of all modalities, in the order of `TABLE`."""
    return tuple(TABLE)


def structure_name() -> str:
    """Name of the modality that is the structure itself: every material has it, and its strain moves the others."""
    return next(iter(TABLE))


def value_names() -> tuple[str, ...]:
    """Names of the modalities that a material may lack."""
    return tuple(TABLE)[1:]


@overload
def part(name: str, which: Literal["settings"]) -> SettingsPart: ...
@overload
def part(name: str, which: Literal["records"]) -> RecordsPart: ...
@overload
def part(name: str, which: Literal["features"]) -> FeaturesPart: ...
@overload
def part(name: str, which: Literal["transform"]) -> TransformPart: ...
@overload
def part(name: str, which: Literal["encoder"]) -> EncoderPart: ...
@overload
def part(name: str, which: Literal["validation"]) -> ValidationPart: ...
@overload
def part(name: str, which: Literal["query"]) -> QueryPart: ...
@overload
def part(name: str, which: Literal["files"]) -> FilesPart: ...
@overload
def part(name: str, which: Literal["perturbations"]) -> PerturbationsPart | None: ...
@overload
def part(name: str, which: Literal["baseline"]) -> BaselinePart | None: ...
def part(name: str, which: str) -> Any:
    """Return one part of a modality: the module of that name in its folder, imported when it is first asked for.

    `which` is written out where this is called: `matbind.modalities.code` reads it there.

    Args:
        name: of the modality.
        which: name of the part.

    Returns:
        The module; None for an optional part that the folder does not have.
    """
    module = f"{TABLE[name]}.{which}"
    if which in OPTIONAL_PARTS and importlib.util.find_spec(module) is None:
        return None
    return importlib.import_module(module)
