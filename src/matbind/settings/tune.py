"""The tune section of params.yaml: how long is searched, and in which space."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from matbind.base.config import StrictModel

Scalar = bool | int | float | str | None
# The tune stage does not depend on these themselves (dvc.yaml), so that another value of one makes no search stale: its
# trials take them from the space alone.
SEARCHED = ("model.projection_dim", "model.temperature", "training.learning_rate")


class Parameter(StrictModel):
    """Where one setting is searched, between two numbers or among choices, and the value it has in trial 0."""

    start: Scalar
    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: list[Scalar] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Parameter:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("it has choices and a range, expected one of them")
            if not self.choices or len({repr(choice) for choice in self.choices}) < len(self.choices):
                raise ValueError(f"its choices are {self.choices}, expected one or more that differ")
        elif self.low is None or self.high is None:
            raise ValueError("expected low and high, or choices")
        elif self.low >= self.high:
            raise ValueError(f"low is {self.low} and high is {self.high}, expected low below high")
        elif self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}, expected a number above 0 where log is true")
        if not self.holds(self.start):
            raise ValueError(f"start is {self.start!r}, expected a value of the space: {self.described()}")
        return self

    def ends(self) -> list[Scalar]:
        """Return the values that have to be allowed for all to be: both ends, or every choice."""
        return [self.low, self.high] if self.choices is None else self.choices

    def holds(self, value: Any) -> bool:
        """Return whether a value is inside."""
        if self.choices is not None:
            return value in self.choices
        return _is_number(value) and self.low <= value <= self.high

    def described(self) -> str:
        """Say the range or the choices in words."""
        if self.choices is not None:
            return ", ".join(map(repr, self.choices))
        return f"{self.low} to {self.high}{' (logarithmic)' if self.log else ''}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class PrunerSettings(StrictModel):
    """When a trial is given up: its best recall so far is below the median of the earlier ones at the same epoch."""

    startup_trials: int = Field(ge=1)
    warmup_epochs: int = Field(ge=1)


class TuneSettings(StrictModel):
    """The tune stage."""

    enabled: bool
    combination: str
    trials: int = Field(ge=1)
    epochs: int = Field(ge=1)
    startup_trials: int = Field(ge=0)
    ahead: int = Field(ge=1)
    workers: int = Field(ge=0)
    retries: int = Field(ge=0)
    resume: bool
    storage: str | None
    confidence: float = Field(ge=0.5, lt=1)
    pruner: PrunerSettings
    space: dict[str, Parameter]

    @field_validator("space")
    @classmethod
    def _not_empty(cls, space: dict[str, Parameter]) -> dict[str, Parameter]:
        if not space:
            raise ValueError("it is empty, expected names of settings with their ranges")
        return space

    @property
    def start(self) -> dict[str, Scalar]:
        """Return the values of trial 0, which the others are compared with."""
        return {name: parameter.start for name, parameter in self.space.items()}
