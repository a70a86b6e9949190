from __future__ import annotations

import pytest

from tests.checked import GRID, settings_with


@pytest.fixture
def settings():
    return settings_with


@pytest.fixture
def grid():
    return GRID
