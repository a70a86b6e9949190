from __future__ import annotations

from pathlib import Path

import pytest

from matbind.analysis.inputs import Inputs
from tests.analysis.world import inputs, write_models


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 15 combinations with embeddings that know the material well; tests only read it."""
    directory = tmp_path_factory.mktemp("models")
    write_models(directory)
    return directory


@pytest.fixture(scope="session")
def found(home: Path) -> Inputs:
    return inputs(home)
