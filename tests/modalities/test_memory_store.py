from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from matbind.modalities.memory_store import MemoryStore
from matbind.modalities.store import ArraySpec, Store, write_store

SPECS = {
    "dense": ArraySpec("float32", (2,)),
    "ragged": ArraySpec("int32", (3,), ragged=True),
    "one": ArraySpec("int32"),
}
ROWS = [
    {"dense": np.array([1, 2]), "ragged": np.arange(6).reshape(2, 3), "one": np.array(7)},
    {"dense": np.array([3, 4]), "ragged": np.zeros((0, 3)), "one": np.array(8)},
    {"dense": np.array([5, 6]), "ragged": np.arange(3).reshape(1, 3), "one": np.array(9)},
]


@pytest.fixture
def stores(tmp_path: Path) -> tuple[MemoryStore, Store]:
    write_store(tmp_path / "x", SPECS, ROWS, meta={"n": 1})
    return MemoryStore(SPECS, ROWS, {"n": 1}), Store(tmp_path / "x")


def test_it_reads_as_a_store_on_disk(stores: tuple[MemoryStore, Store]) -> None:
    held, stored = stores
    index = np.array([2, 0, 1])

    assert held.meta == stored.meta
    assert held.present.tolist() == stored.present.tolist()
    for name in ("dense", "one"):
        assert held.dense(name, index).dtype == stored.dense(name, index).dtype
        assert held.dense(name, index).tolist() == stored.dense(name, index).tolist()
    for ours, theirs in zip(held.ragged("ragged", index), stored.ragged("ragged", index), strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tolist() == theirs.tolist()
