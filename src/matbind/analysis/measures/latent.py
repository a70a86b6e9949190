"""How a labelled group of materials lies in an embedding: similarities, their overlap, and maps in the plane.

Pairs of materials are not independent: one material that is far from all others shifts n - 1 pairs at once, so the
p-value that a two-sample test gives of the pairs is too small. The permutation p-value exchanges the labels of whole
materials instead.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from matbind.analysis.task import UnavailableError
from matbind.evaluation.retrieval import unit_rows

FloatArray = npt.NDArray[np.floating[Any]]
DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

N_GRID = 512
MAX_MATERIALS = 2000  # of each side: 2 million pairs, 16 MB
MAX_PERMUTED = 500  # of each side where the pairs are relabelled a thousand times: seconds
MIN_MATERIALS = 3  # three pairs; of a single pair there is no distribution
N_BINS = 4096  # of a sample too large to put a kernel on every value
TAIL = 4.0  # bandwidths beyond the outermost value that the grid reaches: 0.003 % of a kernel lies further out
SMALLEST_SPREAD = 1e-9  # a standard deviation below it is rounding


class Overlap(NamedTuple):
    """Two densities on a shared grid.

    Attributes:
        grid: shape (n_grid,).
        first: Gaussian kernel density estimate of the first sample, shape (n_grid,).
        second: likewise of the second.
        area: integral of the smaller of the two, from 0 (apart) to 1 (the same).
    """

    grid: DoubleArray
    first: DoubleArray
    second: DoubleArray
    area: float


class Difference(NamedTuple):
    """Kolmogorov-Smirnov test of two groups.

    Attributes:
        statistic: largest distance between the two cumulative distributions.
        p_pairs: as if pairs were independent, which they are not.
        p_permutation: share of relabellings of the materials with a statistic as large, the given one counted.
    """

    statistic: float
    p_pairs: float
    p_permutation: float


def group_similarities(values: FloatArray, member: BoolArray, *, seed: int) -> tuple[DoubleArray, DoubleArray]:
    """Compute the cosine similarities inside a group of materials and inside the rest of them.

    Args:
        values: embeddings, shape (n, d), finite.
        member: which materials are in the group, shape (n,).
        seed: of the random sample of `MAX_MATERIALS` that stands for a larger side.

    Returns:
        One cosine a pair of different materials of a side: of the group and of the rest.

    Raises:
        ValueError: if shapes do not fit.
        UnavailableError: if a side has fewer than three materials.

    Source: Mirza et al. 2025, Section 4.2 and Figure 3.
    """
    group, rest = _sides(values, member, max_materials=MAX_MATERIALS, seed=seed)
    unit = unit_rows(values)
    return _pair_cosines(unit[group]), _pair_cosines(unit[rest])


def density_overlap(first: DoubleArray, second: DoubleArray) -> Overlap:
    """Compute the overlap area of the densities of two samples, shape (n_first,) and (n_second,).

    The grid spans both samples and the tails of their kernels.

    Raises:
        UnavailableError: if a sample has fewer than two different values.

    Source: Mirza et al. 2025, Figures 3 and 7; bandwidths by Scott's rule.
    """
    for name, sample in (("first", first), ("second", second)):
        if len(sample) < 2 or np.std(sample) < SMALLEST_SPREAD:  # noqa: PLR2004
            raise UnavailableError(f"the {name} sample has no spread: a density needs at least two different values")
    kernels = [_kernel_density(sample) for sample in (first, second)]
    reach = TAIL * max(float(np.sqrt(kernel.covariance[0, 0])) for kernel in kernels)
    grid = np.linspace(min(first.min(), second.min()) - reach, max(first.max(), second.max()) + reach, N_GRID)
    densities = [np.asarray(kernel(grid)) for kernel in kernels]
    area = float(np.trapezoid(np.minimum(*densities), grid))
    return Overlap(grid, densities[0], densities[1], area)


def group_difference(values: FloatArray, member: BoolArray, *, n_permutations: int, seed: int) -> Difference:
    """Test by Kolmogorov and Smirnov the cosines inside a group against those inside the rest.

    Args:
        values: embeddings, shape (n, d), finite.
        member: which materials are in the group, shape (n,).
        n_permutations: relabellings.
        seed: of the relabellings, and of the sample of `MAX_PERMUTED` that stands for a larger side.

    Raises:
        ValueError, UnavailableError: as `group_similarities`.

    Source: Mirza et al. 2025, Section 4.2; Phipson and Smyth 2010 for the permutation p-value.
    """
    from scipy.stats import ks_2samp

    group, rest = _sides(values, member, max_materials=MAX_PERMUTED, seed=seed)
    unit = unit_rows(values)
    test = ks_2samp(_pair_cosines(unit[group]), _pair_cosines(unit[rest]))
    pooled = unit[np.concatenate([group, rest])]
    first, second = np.triu_indices(len(pooled), k=1)
    cosines = (pooled @ pooled.T)[first, second]
    order = np.argsort(cosines)
    first, second = first[order], second[order]
    # Among equal values the distributions may be compared only after the last of them.
    last = np.append(np.diff(cosines[order]) > 0, True)
    label = np.arange(len(pooled)) < len(group)
    rng = np.random.default_rng(seed)
    observed = _statistic(label, first, second, last)
    as_large = sum(_statistic(rng.permutation(label), first, second, last) >= observed for _ in range(n_permutations))
    return Difference(float(test.statistic), float(test.pvalue), (as_large + 1) / (n_permutations + 1))


def project_tsne(values: FloatArray, *, seed: int = 0) -> DoubleArray:
    """Map vectors to the plane by t-SNE with scikit-learn's defaults.

    Args:
        values: shape (n, d), finite.
        seed: the map depends on it.

    Returns:
        Shape (n, 2).

    Raises:
        UnavailableError: if there are no more rows than the default perplexity of 30.

    Source: Mirza et al. 2025, Figure 5; van der Maaten and Hinton 2008.
    """
    from sklearn.manifold import TSNE

    method = TSNE(random_state=seed)
    if len(values) <= method.perplexity:
        raise UnavailableError(
            f"t-SNE with perplexity {method.perplexity:g} needs more rows than that, found {len(values)}"
        )
    return np.asarray(method.fit_transform(np.asarray(values, dtype=np.float32)), dtype=np.float64)


def project_pca(values: FloatArray) -> tuple[DoubleArray, DoubleArray]:
    """Return coordinates along two principal components and the share of the variance that each explains.

    Args:
        values: shape (n, d), finite.

    Returns:
        Shapes (n, 2) and (2,).

    Raises:
        UnavailableError: if there are fewer than two rows or columns.

    Source: Mirza et al. 2025, Figure 6.
    """
    from sklearn.decomposition import PCA

    method = PCA(n_components=2, svd_solver="full")
    if min(values.shape) < method.n_components:
        raise UnavailableError(f"{method.n_components} components need as many rows and columns, found {values.shape}")
    coordinates = method.fit_transform(np.asarray(values, dtype=np.float64))
    return np.asarray(coordinates), np.asarray(method.explained_variance_ratio_)


def _sides(
    values: FloatArray, member: BoolArray, *, max_materials: int, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    if member.shape != values.shape[:1]:
        raise ValueError(f"{values.shape=} and {member.shape=} differ in their rows")
    if not np.isfinite(values).all():
        raise ValueError("an embedding is not finite: leave out the materials that lack the modality")
    rng = np.random.default_rng(seed)
    sides = []
    for name, side in (("group", np.flatnonzero(member)), ("rest", np.flatnonzero(~member))):
        if len(side) < MIN_MATERIALS:
            raise UnavailableError(f"the {name} has {len(side)} materials, expected at least {MIN_MATERIALS}")
        sides.append(np.sort(rng.choice(side, max_materials, replace=False)) if len(side) > max_materials else side)
    return sides[0], sides[1]


def _pair_cosines(unit: DoubleArray) -> DoubleArray:
    first, second = np.triu_indices(len(unit), k=1)
    return np.asarray((unit @ unit.T)[first, second])


def _kernel_density(sample: DoubleArray) -> Any:
    """Fit Gaussian kernels by Scott's rule; a large sample is gathered in bins far narrower than the kernels first."""
    from scipy.stats import gaussian_kde

    if len(sample) <= N_BINS:
        return gaussian_kde(sample)
    counts, edges = np.histogram(sample, bins=N_BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    return gaussian_kde(centres[counts > 0], weights=counts[counts > 0], bw_method=len(sample) ** -0.2)


def _statistic(label: BoolArray, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], last: BoolArray) -> float:
    """Return the largest distance of the two cumulative distributions, of pairs sorted by their cosine."""
    ends = label[first].astype(np.int8) + label[second]
    inside, outside = np.cumsum(ends == 2), np.cumsum(ends == 0)  # noqa: PLR2004
    return float(np.abs(inside / inside[-1] - outside / outside[-1])[last].max())
