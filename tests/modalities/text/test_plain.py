import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matbind.modalities.text.features import composition_of, tokens
from matbind.modalities.text.plain import is_space_group, plain
from matbind.modalities.text.query import EXAMPLE

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
SUPERSCRIPTS = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")
OVERLINE = "\u0305"
COUNT = re.compile(r"(?<=[A-Za-z)])(\d+)(?![\d.+-]|\S* space group)")
CHARGE = re.compile(r"(?<=[a-z)])(\d[+-])")
SCREW_AXIS = re.compile(r"_(\d)(?=\S* space group)")
INVERSION = re.compile(r"-(\d)(?=\S* space group)")

VARIANTS = {
    "unicode subscripts": lambda text: COUNT.sub(lambda count: count[1].translate(SUBSCRIPTS), text),
    "superscript charges": lambda text: CHARGE.sub(lambda charge: charge[1].translate(SUPERSCRIPTS), text),
    "html": lambda text: CHARGE.sub(r"<sup>\1</sup>", COUNT.sub(r"<sub>\1</sub>", text)).replace("Å", "&Aring;"),
    "latex": lambda text: COUNT.sub(r"$_{\1}$", text).replace("Å", r"\AA").replace("°", r"$^\circ$"),
    "latex without braces": lambda text: COUNT.sub(r"$_\1$", text),
    "overline behind its number": lambda text: INVERSION.sub(rf"\1{OVERLINE}", text),
    "overline before its number": lambda text: INVERSION.sub(rf"{OVERLINE}\1", text),
    "bar of latex": lambda text: INVERSION.sub(r"$\\bar{\1}$", text),
    "screw axis as a subscript": lambda text: SCREW_AXIS.sub(lambda axis: axis[1].translate(SUBSCRIPTS), text),
    "screw axis run on": lambda text: SCREW_AXIS.sub(r"\1", text),
    "en dashes": lambda text: text.replace("-", "–"),  # noqa: RUF001
    "the sign of the unit": lambda text: text.replace("Å", "\N{ANGSTROM SIGN}"),
    "the unit in words": lambda text: text.replace("Å", "Angstrom"),
    "no space before the unit": lambda text: text.replace(" Å", "Å"),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "hard spaces": lambda text: text.replace(" ", "\u00a0"),
    "a soft hyphen": lambda text: text.replace("crystallizes", "crystal\u00adlizes"),
    "broken lines": lambda text: text.replace(" is ", "\n is\r\n"),
    "a leading newline": lambda text: f"\n{text}",
    "a heading": lambda text: f"# {text}",
    "a quotation": lambda text: f"“{text}”",
    "bold": lambda text: f"**{text}**",
    "a paragraph": lambda text: f"<p>{text}</p>",
    "small letters": str.lower,
}

FORMULAS = st.sampled_from(["BaTiO3", "Ca(NiO2)4", "Li2MnO3", "NaCl", "Ir(Na(NO2)2)3", "Cs2NaSmCl6", "La0.5Sr0.5CoO3"])
POLYHEDRA = st.sampled_from(["TiO6", "NaCl6", "PdPd12", "LaMg3Cl9"])  # their numbers tell them from words
GROUPS = st.sampled_from(["Pm-3m", "P6_3/mmc", "I4_1/amd", "P-1", "Fd-3m", "C2/c", "P2_12_12_1", "R-3c"])
IONS = st.sampled_from(["Ba(1)2+", "Ti(1)4+", "O(2)2-", "La3+", "Cl1-"])
LENGTHS = st.decimals(min_value=1, max_value=5, places=2).map(str)


@st.composite
def descriptions(draw) -> str:
    """A description in the words of Robocrystallographer."""
    first, second = draw(IONS), draw(IONS)
    return (
        f"{draw(FORMULAS)} is (Cubic) Perovskite structured and crystallizes in the cubic {draw(GROUPS)} space group. "
        f"{first} is bonded to six equivalent {second} atoms to form corner-sharing {draw(POLYHEDRA)} octahedra with "
        f"tilt angles of {draw(st.integers(1, 80))}°. All {first} bond lengths are {draw(LENGTHS)} Å."
    )


def split(text: str) -> list[tuple[int, str, float]]:
    return [(number, token.word.lower(), token.value) for number, token in tokens(plain(text))]


@settings(deadline=None)
@given(description=descriptions(), variant=st.sampled_from(sorted(VARIANTS)))
def test_every_variant_has_the_tokens_of_its_plain_form(description, variant):
    assert split(VARIANTS[variant](description)) == split(description)


@settings(deadline=None)
@given(description=descriptions())
def test_a_plain_text_stays_as_it_is(description):
    assert plain(description) == description


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("NaCl", "Na Cl"),
        ("nacl", "Na Cl"),
        ("The compound SrTiO₃ is cubic.", "O Ti Sr"),
        ("cubic perovskite SrTiO3 with lattice constant 3.905 Å", "O Ti Sr"),
        ("Halite (NaCl), space group Fm3m", "Na Cl"),
        ("As shown, PbTe is cubic.", "Te Pb"),
        ("Pd is Copper structured. It forms PdPd12 cuboctahedra.", "Pd"),
        ("In is tetragonal.", "In"),
        ("In this crystal all sites are equal.", ""),
        ("P2_1/c space group", ""),
        ("iron", ""),
        ("cubic", ""),
    ],
)
def test_the_formula_is_read_wherever_it_stands(text, elements):
    from matbind.materials.formula import ELEMENTS

    read = [ELEMENTS[i] for i in composition_of(plain(text)).nonzero()[0]]
    assert sorted(read) == sorted(elements.split())


@pytest.mark.parametrize("symbol", ["Fm-3m", "fm-3m", "Fm3m", "P63/mmc", "P6_3/mmc", "I41/amd"])
def test_careless_symbols_are_space_groups(symbol):
    assert is_space_group(symbol)
    assert plain(f"in space group {symbol}") == plain(f"in {symbol} space group")


def test_a_word_is_no_space_group():
    assert not is_space_group("cubic")
    assert plain("It is in the cubic space group.") == "It is in the cubic space group."


def test_the_example_of_a_query_is_plain():
    assert plain(EXAMPLE["text"]) == EXAMPLE["text"]
