"""The materials a query is compared with: their embeddings, modality by modality, and what they are made of."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.base.files import written_whole
from matbind.materials.formula import ATOMIC_NUMBERS, ELEMENTS, terms

MATERIALS, VECTORS = "gallery.parquet", "gallery.safetensors"


@dataclass(frozen=True, slots=True)
class Keys:
    """The gallery of one modality.

    Attributes:
        rows: positions of the materials that hold it, shape (n,), ascending.
        vectors: unit vectors, shape (n, projection_dim).
    """

    rows: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]


class Gallery:
    """All materials of a data set, and the embeddings of each modality they hold."""

    def __init__(self, materials: pl.DataFrame, keys: Mapping[str, Keys]) -> None:
        """Take the materials and their embeddings.

        Args:
            materials: columns material_id, formula, split; one row a material.
            keys: embeddings by modality.
        """
        self.materials, self.keys = materials, dict(keys)
        self.elements = np.zeros((len(materials), len(ELEMENTS)), dtype=bool)
        """Which elements every material holds, shape (n_materials, n_elements), hydrogen first."""
        for row, formula in enumerate(materials["formula"]):
            self.elements[row, [ATOMIC_NUMBERS[element] - 1 for element, _ in terms(formula)]] = True

    def allowed(
        self, contains: Collection[str] = (), only: Collection[str] = (), without: Collection[str] = ()
    ) -> npt.NDArray[np.bool_]:
        """Return which materials pass an element filter, shape (n_materials,).

        Args:
            contains: elements that have to be in.
            only: elements of which there may be no other.
            without: elements that must not be in.

        Raises:
            ValueError: if a name is no element.
        """
        for symbol in (*contains, *only, *without):
            if symbol not in ELEMENTS:
                raise ValueError(f"{symbol!r} is no chemical element, expected symbols such as Ba")
        need, allow, forbid = ([ATOMIC_NUMBERS[s] - 1 for s in symbols] for symbols in (contains, only, without))
        passes = self.elements[:, need].all(axis=1) & ~self.elements[:, forbid].any(axis=1)
        if allow:
            passes &= self.elements[:, allow].sum(axis=1) == self.elements.sum(axis=1)
        return np.asarray(passes, dtype=bool)

    def describe(self, row: int) -> dict[str, Any]:
        """Return what is known of one material: material_id, formula, split."""
        return self.materials.row(row, named=True)

    def write(self, directory: Path) -> None:
        """Write the gallery, vectors in half precision."""
        from safetensors.numpy import save

        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, keys in self.keys.items():
            arrays |= {f"{name}.rows": keys.rows.astype(np.int32), f"{name}.vectors": keys.vectors.astype(np.float16)}
        with written_whole(directory / VECTORS) as path:
            path.write_bytes(save(arrays))  # save_file would make a file that its owner alone may read
        with written_whole(directory / MATERIALS) as path:
            self.materials.write_parquet(path)

    @classmethod
    def read(cls, directory: Path) -> Gallery:
        """Read what :meth:`write` wrote."""
        from safetensors.numpy import load_file

        arrays = load_file(directory / VECTORS)
        names = [name.removesuffix(".rows") for name in arrays if name.endswith(".rows")]
        keys = {
            name: Keys(arrays[f"{name}.rows"].astype(np.int64), arrays[f"{name}.vectors"].astype(np.float32))
            for name in names
        }
        return cls(pl.read_parquet(directory / MATERIALS), keys)
