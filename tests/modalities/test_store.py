from __future__ import annotations

import json

import numpy as np
import pytest

from matbind.base.errors import UserError
from matbind.modalities.store import ArraySpec, MemoryStore, Store, write_store

SPECS = {
    "dense": ArraySpec("float32", (2,)),
    "ragged": ArraySpec("int32", (3,), ragged=True),
    "flat": ArraySpec("uint8", ragged=True),
}


def row(value: int, n: int) -> dict[str, np.ndarray]:
    return {"dense": np.full(2, value), "ragged": np.full((n, 3), value), "flat": np.arange(n)}


ROWS = [row(1, 2), None, row(3, 0), row(4, 3)]


@pytest.fixture
def store(tmp_path):
    assert write_store(tmp_path / "toy", SPECS, iter(ROWS), meta={"unit": "eV"}) == 3
    return Store(tmp_path / "toy")


def test_dense_rows_come_back_in_the_order_asked_for(store):
    np.testing.assert_array_equal(store.dense("dense", np.array([3, 0, 3])), [[4, 4], [1, 1], [4, 4]])


def test_ragged_rows_come_back_end_to_end_with_their_counts(store):
    values, counts = store.ragged("flat", np.array([3, 2, 1, 0]))
    assert values.tolist() == [0, 1, 2, 0, 1]
    assert counts.tolist() == [3, 0, 0, 2]


def test_ragged_rows_keep_their_shape_and_type(store):
    values, _ = store.ragged("ragged", np.array([0, 3]))
    assert values.dtype == np.int32
    np.testing.assert_array_equal(values, [[1] * 3] * 2 + [[4] * 3] * 3)


def test_no_material_at_all_gives_no_rows(store):
    values, counts = store.ragged("ragged", np.array([], dtype=np.int64))
    assert values.shape == (0, 3)
    assert counts.shape == (0,)


def test_absent_materials_are_marked_and_hold_zeros(store):
    assert store.present.tolist() == [True, False, True, True]
    assert store.dense("dense", np.array([1])).tolist() == [[0.0, 0.0]]


def test_the_metadata_are_kept(store):
    assert store.meta == {"unit": "eV"}
    assert store.n_materials == 4


def test_a_modality_that_no_material_holds_can_be_stored(tmp_path):
    assert write_store(tmp_path / "toy", SPECS, [None, None]) == 0
    assert not Store(tmp_path / "toy").present.any()


@pytest.mark.parametrize("name", ["dense.bin", "ragged.bin", "flat.offsets.bin", "present.bin"])
def test_a_truncated_file_is_named(store, tmp_path, name):
    path = tmp_path / "toy" / name
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"{name}: found {size - 1} bytes, expected {size}; run the featurize stage"):
        Store(tmp_path / "toy")


def test_a_missing_file_is_named(store, tmp_path):
    (tmp_path / "toy" / "flat.bin").unlink()
    with pytest.raises(UserError, match=r"flat\.bin: found 0 bytes, expected 5"):
        Store(tmp_path / "toy")


def test_a_directory_without_a_manifest_is_no_store(store, tmp_path):
    (tmp_path / "toy" / "store.json").unlink()
    with pytest.raises(UserError, match="no finished feature store is here"):
        Store(tmp_path / "toy")


def test_a_manifest_that_is_no_json_is_named(store, tmp_path):
    (tmp_path / "toy" / "store.json").write_text("{")
    with pytest.raises(UserError, match=r"store\.json: found no valid JSON"):
        Store(tmp_path / "toy")


def interrupted():
    yield row(1, 2)
    raise KeyboardInterrupt


def test_an_interrupted_write_leaves_no_store(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path / "toy", SPECS, interrupted())
    with pytest.raises(UserError, match="no finished feature store"):
        Store(tmp_path / "toy")


def test_an_interrupted_write_keeps_the_older_store(store, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path / "toy", SPECS, interrupted())
    assert Store(tmp_path / "toy").n_materials == 4


def test_what_an_interrupted_write_left_is_no_hindrance(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path / "toy", SPECS, interrupted())
    write_store(tmp_path / "toy", SPECS, ROWS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy"]


def test_a_row_of_another_shape_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"array dense: a row has shape \(3,\), expected \(2,\)"):
        write_store(tmp_path / "toy", SPECS, [row(1, 1) | {"dense": np.zeros(3)}])


def digest(directory, rows, meta) -> str:
    write_store(directory, SPECS, rows, meta=meta)
    return json.loads((directory / "store.json").read_text())["digest"]


def test_the_digest_repeats_for_the_same_content(tmp_path):
    assert digest(tmp_path / "a", ROWS, {}) == digest(tmp_path / "b", ROWS, {})


@pytest.mark.parametrize(
    ("rows", "meta"),
    [
        ([row(2, 2), *ROWS[1:]], {}),
        (ROWS, {"unit": "Ry"}),
        ([row(0, 0), None], {}),
        ([None, row(0, 0)], {}),
    ],
)
def test_the_digest_tells_other_content(tmp_path, rows, meta):
    known = {digest(tmp_path / "a", ROWS, {}), digest(tmp_path / "b", [None, None], {})}
    assert digest(tmp_path / "c", rows, meta) not in known


def test_features_in_memory_read_as_those_on_disk(tmp_path):
    rows = [row(1, 2), row(3, 0), row(4, 3)]
    write_store(tmp_path / "toy", SPECS, rows, meta={"unit": "eV"})
    memory, disk, index = MemoryStore(SPECS, rows, {"unit": "eV"}), Store(tmp_path / "toy"), np.array([2, 0, 1])

    assert memory.meta == disk.meta
    assert memory.present.tolist() == disk.present.tolist()
    assert memory.dense("dense", index).dtype == disk.dense("dense", index).dtype
    np.testing.assert_array_equal(memory.dense("dense", index), disk.dense("dense", index))
    for name in ("ragged", "flat"):
        for in_memory, on_disk in zip(memory.ragged(name, index), disk.ragged(name, index), strict=True):
            assert in_memory.dtype == on_disk.dtype
            np.testing.assert_array_equal(in_memory, on_disk)
