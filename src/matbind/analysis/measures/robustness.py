"""Inputs as a worse measurement would give them: perturbed rows of features, and shortened texts.

Every perturbation has one strength with a unit; strength zero returns the rows as they are. What was not measured (NaN)
stays so. Training augments with the same kinds of change, but drawn at random; here the strength is what is set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from matbind.analysis.measures.unavailable import UnavailableError

FloatArray = npt.NDArray[np.float32]

FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))
DECAY = 3.0  # a background falls to exp(-3) from the first bin to the last, as the scattering of air does

# A full stop ends a sentence where a space and a capital follow: not in "2.31 Å" nor in "e.g. the".
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z(])")
# Lengths, angles and counts on their own; the numbers inside TiO6, P6_3/mmc or 12-coordinate are names.
_NUMBER = re.compile(r"(?<![\w/.-])[-+]?\d+(?:\.\d+)?(?:[-\u2013]\d+(?:\.\d+)?)?(?![\w/-]|\.\d)")


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One way in which a row of features gets worse.

    Attributes:
        apply: takes rows of shape (n, n_bins), the strength, the width of a bin (degree or eV) and a generator; returns
            new rows.
        unit: of the strength.
        strengths: usual ones to measure at, zero first.
    """

    apply: Callable[[FloatArray, float, float, np.random.Generator], FloatArray]
    unit: str
    strengths: tuple[float, ...]


def perturb(
    rows: FloatArray, modality: str, name: str, *, strength: float, bin_width: float, seed: int = 0
) -> FloatArray:
    """Perturb the stored rows of a modality.

    Args:
        rows: patterns (maximum 1) or densities of states (states / eV / atom), shape (n, n_bins).
        modality: ``pxrd`` or ``dos``.
        name: of one of its `PERTURBATIONS`.
        strength: in the unit of the perturbation, at least 0.
        bin_width: degree two theta, or eV.
        seed: of the noise.

    Returns:
        Shape (n, n_bins); patterns have maximum 1 again.

    Raises:
        ValueError: if there is no such perturbation, or the strength is below 0.
        UnavailableError: if it leaves nothing of the rows.
    """
    known: Mapping[str, Perturbation] = PERTURBATIONS.get(modality, {})
    if name not in known:
        allowed = ", ".join(f"{key} {each}" for key, kinds in PERTURBATIONS.items() for each in kinds)
        raise ValueError(f"no perturbation {modality} {name}; allowed: {allowed}")
    if strength < 0:
        raise ValueError(f"{strength=} has to be at least 0")
    if strength == 0:
        return rows.copy()
    return known[name].apply(rows, strength, bin_width, np.random.default_rng(seed))


def first_sentence(text: str) -> str:
    """The first sentence of a description, which names the material and its structure type."""
    return _SENTENCE_END.split(text.strip(), maxsplit=1)[0]


def without_numbers(text: str) -> str:
    """A description without its lengths, angles and other numbers; formulas and space groups stay."""
    return re.sub(r"\s{2,}", " ", _NUMBER.sub("", text)).replace(" .", ".").replace(" ,", ",").strip()


def _noise(rows: FloatArray, strength: float, _: float, rng: np.random.Generator) -> FloatArray:
    # No detector counts below zero: the sum is cut off, not the noise.
    return _to_maximum_one(np.maximum(rows + rng.normal(0, strength, rows.shape), 0))


def _background(rows: FloatArray, strength: float, _: float, __: np.random.Generator) -> FloatArray:
    return _to_maximum_one(rows + strength * np.exp(-DECAY * np.linspace(0, 1, rows.shape[1])))


def _peak_shift(rows: FloatArray, strength: float, bin_width: float, _: np.random.Generator) -> FloatArray:
    return _to_maximum_one(_shifted(rows, strength / bin_width))


def _peak_broadening(rows: FloatArray, strength: float, bin_width: float, _: np.random.Generator) -> FloatArray:
    return _to_maximum_one(_broadened(rows, strength / FWHM_PER_SIGMA / bin_width))


def _hidden(first: bool) -> Callable[[FloatArray, float, float, np.random.Generator], FloatArray]:  # noqa: FBT001
    def hide(rows: FloatArray, strength: float, bin_width: float, _: np.random.Generator) -> FloatArray:
        n_hidden = round(strength / bin_width)
        if n_hidden >= rows.shape[1]:
            raise UnavailableError(
                f"{strength=} degree hides the whole pattern of {rows.shape[1] * bin_width:g} degree"
            )
        hidden = rows.copy()
        hidden[:, slice(0, n_hidden) if first else slice(rows.shape[1] - n_hidden, None)] = np.nan
        return _to_maximum_one(hidden)

    return hide


def _energy_shift(rows: FloatArray, strength: float, bin_width: float, _: np.random.Generator) -> FloatArray:
    return _shifted(rows, strength / bin_width)


def _energy_broadening(rows: FloatArray, strength: float, bin_width: float, _: np.random.Generator) -> FloatArray:
    return _broadened(rows, strength / bin_width)


def _shifted(rows: FloatArray, n_bins: float) -> FloatArray:
    """Moved to larger angles or energies by a number of bins that need not be whole; the edge value moves in."""
    from scipy.ndimage import shift

    return _where_measured(rows, lambda known: shift(known, (0, n_bins), order=1, mode="nearest"))


def _broadened(rows: FloatArray, sigma_bins: float) -> FloatArray:
    from scipy.ndimage import gaussian_filter1d

    return _where_measured(rows, lambda known: gaussian_filter1d(known, sigma_bins, axis=1, mode="nearest"))


def _where_measured(rows: FloatArray, change: Callable[[npt.NDArray[np.float64]], FloatArray]) -> FloatArray:
    measured = np.isfinite(rows)
    changed = change(np.where(measured, rows, 0).astype(np.float64))
    return np.where(measured, changed, np.nan).astype(np.float32)


def _to_maximum_one(rows: npt.NDArray[np.floating]) -> FloatArray:
    top = np.max(rows, axis=1, keepdims=True, where=np.isfinite(rows), initial=0.0)
    return np.asarray(np.divide(rows, top, out=np.asarray(rows, dtype=np.float64).copy(), where=top > 0), np.float32)


PERTURBATIONS: Mapping[str, Mapping[str, Perturbation]] = MappingProxyType(
    {
        "pxrd": MappingProxyType(
            {
                "noise": Perturbation(_noise, "share of the maximum", (0.0, 0.01, 0.02, 0.05, 0.1)),
                "background": Perturbation(_background, "share of the maximum", (0.0, 0.05, 0.1, 0.2, 0.5)),
                "shift": Perturbation(_peak_shift, "degree", (0.0, 0.05, 0.1, 0.2, 0.5)),
                "broadening": Perturbation(_peak_broadening, "degree (FWHM)", (0.0, 0.1, 0.2, 0.5, 1.0)),
                "low_angles_missing": Perturbation(_hidden(first=True), "degree", (0.0, 5.0, 10.0, 20.0)),
                "high_angles_missing": Perturbation(_hidden(first=False), "degree", (0.0, 10.0, 30.0, 50.0)),
            }
        ),
        "dos": MappingProxyType(
            {
                "shift": Perturbation(_energy_shift, "eV", (0.0, 0.1, 0.2, 0.5, 1.0)),
                "broadening": Perturbation(_energy_broadening, "eV (sigma)", (0.0, 0.1, 0.2, 0.5, 1.0)),
            }
        ),
    }
)
"""What can be done to the rows of each modality, by name."""

SHORTENED: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"first_sentence": first_sentence, "without_numbers": without_numbers}
)
"""What can be left out of a text, by name; the result has to be tokenised anew."""
