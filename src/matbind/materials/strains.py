"""Small strains as vectors, and the part of a strain that keeps the symmetry of a crystal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from matbind.materials.structure import FloatArray

MANDEL_PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
MANDEL_WEIGHT = np.array([1.0, 1.0, 1.0, np.sqrt(2.0), np.sqrt(2.0), np.sqrt(2.0)])


def strain_projector(rotations: FloatArray) -> npt.NDArray[np.float32]:
    """Build the map from a symmetric strain to the part of it that keeps the crystal's symmetry.

    That part is the average of R strain R^T over the point group. With no rotations at all, only a uniform expansion is
    known to be safe, and the map keeps the isotropic part.

    Args:
        rotations: (n_rotations, 3, 3) Cartesian, as `symmetry_rotations` returns them.

    Returns:
        (6, 6) symmetric projector acting on Mandel vectors (`to_mandel`).

    Raises:
        ValueError: the rotations have another shape.
    """
    if rotations.shape[1:] != (3, 3):
        raise ValueError(f"rotations has shape {rotations.shape}, expected (n_rotations, 3, 3).")
    if not len(rotations):
        isotropic = to_mandel(np.eye(3)) / np.sqrt(3.0)
        return np.outer(isotropic, isotropic).astype(np.float32)
    basis = from_mandel(np.eye(6))
    averaged = np.einsum("nij,bjk,nlk->bil", rotations, basis, rotations, optimize=True) / len(rotations)
    projector = to_mandel(averaged)
    return (0.5 * (projector + projector.T)).astype(np.float32)


def to_mandel(tensor: FloatArray) -> FloatArray:
    """Write symmetric tensors as vectors with the same inner product.

    Args:
        tensor: (..., 3, 3) symmetric; only the upper triangle is read.

    Returns:
        (..., 6) components 11, 22, 33, sqrt(2) 23, sqrt(2) 13, sqrt(2) 12.
    """
    rows, columns = zip(*MANDEL_PAIRS, strict=True)
    vector: FloatArray = np.asarray(tensor)[..., list(rows), list(columns)] * MANDEL_WEIGHT
    return vector


def from_mandel(vector: FloatArray) -> FloatArray:
    """Undo `to_mandel`.

    Args:
        vector: (..., 6).

    Returns:
        (..., 3, 3) symmetric tensors.
    """
    scaled = np.asarray(vector) / MANDEL_WEIGHT
    tensor: FloatArray = np.empty((*scaled.shape[:-1], 3, 3), dtype=scaled.dtype)
    for component, (row, column) in enumerate(MANDEL_PAIRS):
        tensor[..., row, column] = scaled[..., component]
        tensor[..., column, row] = scaled[..., component]
    return tensor
