"""Stores in which a trained model is registered; shared by the tests of registry, search and the register stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matbind.registry.registrar import Registrar
from matbind.registry.registry import Registry, Version
from tests.factories import real_features
from tests.serving.trained import EVERYTHING, bundle, trained
from tests.tracking.stores import copy_store


def registry_in(root: Path) -> Registry:
    """A registry in an empty store of its own whose artifacts are beside it."""
    copy_store(root)
    return Registry(root)


def registrar(registry: Registry, models: Path | None = None) -> Registrar:
    return Registrar(registry, features=real_features(), models=models or trained().models)


def register(
    registry: Registry, evaluation: dict[str, Any] | None = None, *, name: str = EVERYTHING
) -> tuple[Version, bool]:
    model = trained(name)
    evaluation = evaluation or model.evaluation
    return registrar(registry, model.models).register(model.combination, evaluation, bundle=bundle(name))
