from __future__ import annotations

from pathlib import Path

import pytest

from matbind.analysis.inputs import Inputs
from tests.analysis.world import inputs_of, write_models
from tests.cache import shared


@pytest.fixture(scope="session")
def results_dir() -> Path:
    """All 15 combinations with embeddings that know the material well; tests only read it."""
    return shared("made-up", write_models)


@pytest.fixture(scope="session")
def inputs(results_dir: Path) -> Inputs:
    return inputs_of(results_dir)
