"""The features of a whole data set as memory-mapped arrays on disk: one directory a modality, one file an array.

Materials have different numbers of sites, peaks or tokens, so an array is either *dense* (one row a material) or
*ragged* (all materials' rows end to end, with offsets). No material is a Python object of its own, and
opening a store of 170,000 materials costs no memory until rows are touched.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from matbind.base.errors import UserError
from matbind.base.files import read_json, written_whole_directory

MANIFEST = "store.json"


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """Shape and type of one array of a modality."""

    dtype: str  # NumPy type name
    row_shape: tuple[int, ...] = ()  # shape of one row
    ragged: bool = False  # whether a material has any number of rows (True) or exactly one (False)


class Rows(NamedTuple):
    """Rows of a ragged array for some materials, end to end."""

    values: npt.NDArray[Any]  # (n_rows, *row_shape)
    counts: npt.NDArray[np.int64]  # (n_materials,) rows of each material


class Store:
    """Read access to the arrays of one modality."""

    def __init__(self, directory: Path) -> None:
        """Open a store.

        Raises:
            UserError: if the directory is no finished store or a file of it is cut short.
        """
        manifest = directory / MANIFEST
        if not manifest.exists():
            raise UserError(f"{directory}: no finished feature store is here, run the featurize stage first")
        content = read_json(manifest)
        self.n_materials: int = content["n_materials"]
        self.meta: dict[str, Any] = content["meta"]
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self._offsets: dict[str, npt.NDArray[np.int64]] = {}
        for name, spec in content["arrays"].items():
            self._arrays[name] = _map(directory / f"{name}.bin", spec["dtype"], tuple(spec["shape"]))
            if spec["ragged"]:
                self._offsets[name] = _map(directory / f"{name}.offsets.bin", "int64", (self.n_materials + 1,))
        self.present: npt.NDArray[np.bool_] = _map(directory / "present.bin", "bool", (self.n_materials,))

    def dense(self, name: str, index: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Read rows of a dense array, shape (len(index), *row_shape)."""
        return np.asarray(self._arrays[name][index])

    def ragged(self, name: str, index: npt.NDArray[np.int64]) -> Rows:
        """Read the rows of a ragged array for the materials of ``index``, end to end, and how many every one has."""
        offsets = self._offsets[name]
        starts, counts = offsets[index], offsets[index + 1] - offsets[index]
        ends = np.cumsum(counts)
        rows = np.repeat(starts - (ends - counts), counts) + np.arange(int(ends[-1]) if len(ends) else 0)
        return Rows(np.asarray(self._arrays[name][rows]), counts)


class MemoryStore(Store):
    """The features of a few queries in memory, read as those of a store on disk."""

    def __init__(
        self, specs: Mapping[str, ArraySpec], rows: Sequence[Mapping[str, npt.NDArray[Any]]], meta: Mapping[str, Any]
    ) -> None:
        """Take one mapping of arrays a material, and what the store of the data set says besides."""
        self.n_materials = len(rows)
        self.meta = dict(meta)
        self.present = np.ones(len(rows), dtype=bool)
        self._arrays, self._offsets = {}, {}
        for name, spec in specs.items():
            parts = [np.asarray(row[name], dtype=spec.dtype) for row in rows]
            if spec.ragged:
                self._arrays[name] = np.concatenate([part.reshape(-1, *spec.row_shape) for part in parts])
                self._offsets[name] = np.cumsum([0, *(len(part) for part in parts)])
            else:
                self._arrays[name] = np.stack(parts)


def write_store(
    directory: Path,
    specs: Mapping[str, ArraySpec],
    rows: Iterable[Mapping[str, npt.NDArray[Any]] | None],
    *,
    meta: Mapping[str, Any] | None = None,
) -> int:
    """Write the arrays of one modality, material by material; the directory appears only when it is whole.

    Args:
        directory: where the store is to be; an older one is replaced.
        specs: the arrays by name.
        rows: one mapping of arrays a material in the order of the data set, None where it lacks the modality.
        meta: what a reader must know besides (grids, vocabulary), kept as JSON.

    Returns:
        The number of materials that hold the modality.

    Raises:
        ValueError: if an array's shape does not fit its spec.
    """
    counts: dict[str, list[int]] = {name: [] for name in specs}
    present: list[bool] = []
    digest = hashlib.sha256()
    with written_whole_directory(directory) as partial:
        with ExitStack() as open_files:
            files = {name: open_files.enter_context((partial / f"{name}.bin").open("wb")) for name in specs}
            for row in rows:
                present.append(row is not None)
                for name, spec in specs.items():
                    value = _checked(row[name], name, spec) if row is not None else _absent(spec)
                    content = value.tobytes()
                    files[name].write(content)
                    digest.update(content)
                    counts[name].append(len(value))
        arrays = {}
        for name, spec in specs.items():
            arrays[name] = {"dtype": spec.dtype, "shape": [sum(counts[name]), *spec.row_shape], "ragged": spec.ragged}
            if spec.ragged:
                np.concatenate([[0], np.cumsum(counts[name])]).astype("int64").tofile(partial / f"{name}.offsets.bin")
        np.array(present, dtype=bool).tofile(partial / "present.bin")
        learned = dict(meta or {})
        digest.update(json.dumps([arrays, learned, present, counts]).encode())
        manifest = {"n_materials": len(present), "digest": digest.hexdigest(), "arrays": arrays, "meta": learned}
        (partial / MANIFEST).write_text(json.dumps(manifest))
    return sum(present)


def _checked(value: npt.NDArray[Any], name: str, spec: ArraySpec) -> npt.NDArray[Any]:
    rows = np.asarray(value, dtype=spec.dtype) if spec.ragged else np.asarray(value, dtype=spec.dtype)[None]
    if rows.shape[1:] != spec.row_shape:
        raise ValueError(f"array {name}: a row has shape {rows.shape[1:]}, expected {spec.row_shape}")
    return rows


def _absent(spec: ArraySpec) -> npt.NDArray[Any]:
    return np.zeros((0 if spec.ragged else 1, *spec.row_shape), dtype=spec.dtype)


def _map(path: Path, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    expected = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    size = path.stat().st_size if path.exists() else 0
    if size != expected:
        raise UserError(f"{path}: found {size} bytes, expected {expected}; run the featurize stage again")
    return np.memmap(path, dtype=dtype, mode="r", shape=shape) if expected else np.zeros(shape, dtype=dtype)
