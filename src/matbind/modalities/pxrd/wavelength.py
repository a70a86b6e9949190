"""Wavelengths as people and instruments write them: `CuKa1`, `1.5406`, `0.15406 nm`, `17.48 keV`, `Anode: Cu`."""

from __future__ import annotations

import re
from math import isfinite

from matbind.materials.wavelengths import WAVELENGTH_ANGSTROM

SHORTEST_ANGSTROM, LONGEST_ANGSTROM = 0.05, 5.0  # 248 keV to 2.5 keV: all that powders are measured with
KEV_ANGSTROM = 12.398419843  # photon energy times wavelength
ANGSTROM_PER = {"": 1.0, "a": 1.0, "å": 1.0, "ang": 1.0, "angstrom": 1.0, "angstroms": 1.0, "nm": 10.0, "pm": 0.01}
NUMBER = r"(\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?)"
UNIT = r"\s*[\[(]?\s*(angstroms?|ang|[aå]|nm|pm|kev|ev)?\b"
VALUE = re.compile(rf"^{NUMBER}{UNIT}\W*$", re.IGNORECASE)
METALS = "|".join(dict.fromkeys(line.partition("K")[0] for line in WAVELENGTH_ANGSTROM))
ALPHA_WORD = r"k[\s_-]*(?:alpha|a|\u03b1)"
LINE = re.compile(rf"^({METALS})[\s_-]*{ALPHA_WORD}[\s_-]*([12])?$", re.IGNORECASE)
LINE_IN_TEXT = re.compile(rf"\b({METALS})[\s_-]*{ALPHA_WORD}[\s_-]*([12])?(?![\w.])", re.IGNORECASE)
ANODE_IN_TEXT = re.compile(rf"\b(?:anode|target|tube|radiation|source)\b[^\n]*?\b({METALS})\b", re.IGNORECASE)
NUMBER_IN_TEXT = re.compile(
    rf"(?:wave[\s_-]*length|\blambda|λ|\bwl[12]?\b)([^\n]*?)(?<![\w.]){NUMBER}{UNIT}(?!\s*[=:])", re.IGNORECASE
)
ENERGY_IN_TEXT = re.compile(
    rf"(?:photon|x-?ray|beam|incident)?[\s_-]*energy\b[^\n\d]*{NUMBER}\s*(kev|ev)\b", re.IGNORECASE
)
UNIT_BEFORE = re.compile(r"\b(nm|pm|kev)\b", re.IGNORECASE)
LINE_NUMBER = re.compile(r"\bwl([12])\b|wave[\s_-]*length[\s_-]*([12])(?![\d.,])", re.IGNORECASE)
ALPHA = re.compile(rf"{ALPHA_WORD}[\s_-]*([12])()", re.IGNORECASE)
BETA = re.compile(r"k[\s_-]*(?:beta|b\d?|β)", re.IGNORECASE)


def parse_wavelength(value: str | float) -> float:
    """Read a wavelength that a user names.

    Args:
        value: angstrom as a number; or a text: the line of a tube (`CuKa`, `MoKa1`, `Co K-alpha`; `CuKa` is the mean of
            the doublet, 1.54184), a number with or without a unit (A, nm, pm), or a photon energy with keV or eV.

    Returns:
        Angstrom.

    Raises:
        ValueError: if it is none of these, or not between 0.05 and 5 angstrom.
    """
    if not isinstance(value, str):
        return _plausible(float(value), str(value))
    text = value.strip()
    if line := LINE.match(text):
        return line_angstrom(line[1], line[2])
    if number := VALUE.match(text):
        return _plausible(_angstrom(number[1], number[2]), text)
    raise ValueError(
        f"the wavelength {value!r} is unknown, expected angstrom such as 1.5406, a line such as CuKa, CuKa1 or MoKa, "
        "or an energy such as 17.48 keV"
    )


def line_angstrom(metal: str, number: str | None = None) -> float:
    """Return the wavelength of a tube's K-alpha line: 1, 2, or None for the mean of the doublet.

    Raises:
        ValueError: if the line is not tabulated.
    """
    name = f"{metal.capitalize()}Ka{number or ''}"
    if name not in WAVELENGTH_ANGSTROM:
        raise ValueError(f"the line {name} is not tabulated, expected one of {', '.join(WAVELENGTH_ANGSTROM)}")
    return WAVELENGTH_ANGSTROM[name]


def doublet_angstrom(alpha1: float, alpha2: float | None, ratio: float | None = None) -> float:
    """Compute the mean wavelength of a K-alpha doublet.

    Args:
        alpha1: angstrom.
        alpha2: angstrom; None or 0 where only the first was used.
        ratio: intensity of the second line over that of the first; one half if it is not said, 0 where a
            monochromator takes the second away.
    """
    if not alpha2:
        return alpha1
    share = 0.5 if ratio is None else ratio
    return (alpha1 + share * alpha2) / (1 + share)


def tube_wavelength(
    anode: str, alpha1: float | None, alpha2: float | None, ratio: float | None
) -> tuple[float, str] | None:
    """Return the wavelength of a tube and the words on where it is from.

    Args:
        anode: symbol of the metal; may be empty.
        alpha1: angstrom; None or 0 where the tube names none, and its anode has to tell.
        alpha2: as for :func:`doublet_angstrom`.
        ratio: as for :func:`doublet_angstrom`.
    """
    if alpha1 and alpha1 > 0:
        return doublet_angstrom(alpha1, alpha2, ratio), f"the tube, {anode or 'anode not named'}"
    try:
        return (line_angstrom(anode), f"the anode {anode}") if anode else None
    except ValueError:
        return None


def wavelength_in(header: str) -> tuple[float, str] | None:
    """Find what the header of a pattern says of its wavelength.

    A number counts before the name of a line, a line before that of an anode, which stands for its K-alpha doublet.

    Args:
        header: comment lines and other text of a file.

    Returns:
        Angstrom, and the words it was taken from; None if there are none.

    Raises:
        ValueError: if several numbers contradict each other.
    """
    numbers = _numbers_in(header)
    if "" in numbers:
        return numbers[""]
    if "1" in numbers:
        second = numbers.get("2", (None, ""))[0]
        return doublet_angstrom(numbers["1"][0], second), numbers["1"][1]
    if energy := ENERGY_IN_TEXT.search(header):
        angstrom = _angstrom(energy[1], energy[2])
        if SHORTEST_ANGSTROM <= angstrom <= LONGEST_ANGSTROM:
            return angstrom, energy[0].strip()
    if line := LINE_IN_TEXT.search(header):
        return line_angstrom(line[1], line[2]), line[0].strip()
    if anode := ANODE_IN_TEXT.search(header):
        return line_angstrom(anode[1]), anode[0].strip()
    return None


def _numbers_in(header: str) -> dict[str, tuple[float, str]]:
    """Find wavelengths in numbers and the words around them, by the line of the doublet they are said to be."""
    numbers: dict[str, tuple[float, str]] = {}
    for match in NUMBER_IN_TEXT.finditer(header):
        words = header[header.rfind("\n", 0, match.start()) + 1 : match.end()].strip(" #!;'\"\t")
        if BETA.search(words) or "ratio" in words.lower():
            continue
        before = UNIT_BEFORE.search(match[1])
        angstrom = _angstrom(match[2], match[3] or (before[1] if before else None))
        if not SHORTEST_ANGSTROM <= angstrom <= LONGEST_ANGSTROM:
            continue
        line = ALPHA.search(words) or LINE_NUMBER.search(words)
        known = numbers.setdefault((line[1] or line[2]) if line else "", (angstrom, words))
        if known[0] != angstrom:
            raise ValueError(f"its header names several wavelengths, among them {words!r}; keep one of them")
    return numbers


def _angstrom(number: str, unit: str | None) -> float:
    value = float(number.replace(",", "."))
    name = (unit or "").lower()
    if name in {"kev", "ev"}:
        kev = value if name == "kev" else value / 1000
        return KEV_ANGSTROM / kev if kev > 0 else float("inf")
    return value * ANGSTROM_PER[name]


def _plausible(angstrom: float, given: str) -> float:
    if not (isfinite(angstrom) and SHORTEST_ANGSTROM <= angstrom <= LONGEST_ANGSTROM):
        raise ValueError(
            f"the wavelength {given} is {angstrom:g} angstrom, expected {SHORTEST_ANGSTROM} to {LONGEST_ANGSTROM}"
        )
    return angstrom
