from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from matbind.analysis.measures.robustness import PERTURBATIONS, SHORTENED, first_sentence, perturb, without_numbers
from tests.factories import DATA

STEP = 0.1
ALL = [(modality, name) for modality, kinds in PERTURBATIONS.items() for name in kinds]


def peaks(*, at_bin: int = 100, sigma_bins: float = 4.0, n_bins: int = 400) -> np.ndarray:
    """A strong and a weak Gaussian peak, maximum 1."""
    x = np.arange(n_bins)
    rows = [np.exp(-(((x - at_bin) / sigma_bins) ** 2) / 2) + 0.3 * np.exp(-(((x - 300) / sigma_bins) ** 2) / 2)]
    return np.array(rows * 2, dtype=np.float32)


def width_of(row: np.ndarray) -> float:
    x = np.arange(len(row))
    centre = np.average(x, weights=row)
    return float(np.sqrt(np.average((x - centre) ** 2, weights=row)))


@pytest.mark.parametrize(("modality", "name"), ALL)
def test_strength_zero_changes_nothing(modality, name):
    rows = peaks()
    np.testing.assert_array_equal(perturb(rows, modality, name, strength=0.0, bin_width=STEP), rows)


@pytest.mark.parametrize(("modality", "name"), ALL)
def test_every_usual_strength_changes_the_rows_and_keeps_the_given_ones(modality, name):
    rows = peaks()
    kept = rows.copy()
    assert PERTURBATIONS[modality][name].strengths[0] == 0
    for strength in PERTURBATIONS[modality][name].strengths[1:]:
        found = perturb(rows, modality, name, strength=strength, bin_width=2 * STEP)
        assert found.dtype == np.float32
        assert not np.array_equal(found, rows)
    np.testing.assert_array_equal(rows, kept)


@pytest.mark.parametrize(("modality", "name"), ALL)
def test_what_was_not_measured_stays_so(modality, name):
    rows = peaks()
    rows[:, 200:220] = np.nan
    found = perturb(rows, modality, name, strength=0.5, bin_width=STEP)
    assert np.isnan(found[:, 200:220]).all()
    assert np.isfinite(found[:, 50:200]).all()


@pytest.mark.parametrize("name", list(PERTURBATIONS["pxrd"]))
def test_patterns_have_maximum_one_and_no_negative_intensity(name):
    found = perturb(peaks(), "pxrd", name, strength=0.5, bin_width=STEP)
    assert np.nanmax(found, axis=1) == pytest.approx(1.0)
    assert np.nanmin(found) >= 0


@pytest.mark.parametrize("modality", ["pxrd", "dos"])
@pytest.mark.parametrize(("strength", "expected"), [(0.5, 105), (1.0, 110)])
def test_a_shift_moves_the_peak_by_its_strength(modality, strength, expected):
    found = perturb(peaks(), modality, "shift", strength=strength, bin_width=STEP)
    np.testing.assert_array_equal(found.argmax(axis=1), expected)


def test_half_a_bin_lies_between_two():
    row = np.zeros((1, 9), np.float32)
    row[0, 4] = 1
    found = perturb(row, "dos", "shift", strength=0.05, bin_width=STEP)
    np.testing.assert_allclose(found[0], [0, 0, 0, 0, 0.5, 0.5, 0, 0, 0], atol=1e-6)


def test_broadening_adds_in_squares():
    # Sigma 3 bins; a FWHM of 0.942 degree is a sigma of 0.4 degree, 4 bins: together 5.
    x = np.arange(400)
    row = np.exp(-(((x - 200) / 3.0) ** 2) / 2)[None].astype(np.float32)
    pattern = perturb(row, "pxrd", "broadening", strength=0.4 * 2.354820, bin_width=STEP)
    assert width_of(pattern[0]) == pytest.approx(5.0, rel=0.01)
    density = perturb(row, "dos", "broadening", strength=0.4, bin_width=STEP)
    assert width_of(density[0]) == pytest.approx(5.0, rel=0.01)
    assert density.sum() == pytest.approx(row.sum(), rel=1e-5)  # no state is lost


def test_noise_has_its_strength_and_repeats():
    flat = np.full((1, 20_000), 1.0, np.float32)
    found = perturb(flat, "pxrd", "noise", strength=0.02, bin_width=STEP, seed=1)
    assert np.std(found / found.mean()) == pytest.approx(0.02, rel=0.05)
    np.testing.assert_array_equal(found, perturb(flat, "pxrd", "noise", strength=0.02, bin_width=STEP, seed=1))


def test_a_background_falls_with_the_angle():
    found = perturb(np.eye(1, 101, dtype=np.float32), "pxrd", "background", strength=0.5, bin_width=STEP)
    expected = 0.5 * np.exp(-3 * np.linspace(0, 1, 101))
    np.testing.assert_allclose(found[0, 1:], expected[1:] / 1.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "hidden"), [("low_angles_missing", slice(0, 110)), ("high_angles_missing", slice(-110, None))]
)
def test_a_missing_range_is_not_measured_and_the_rest_is_scaled(name, hidden):
    found = perturb(peaks(), "pxrd", name, strength=11.0, bin_width=STEP)
    expected = np.zeros(400, bool)
    expected[hidden] = True
    np.testing.assert_array_equal(np.isnan(found[0]), expected)
    assert np.nanmax(found) == 1


def test_nothing_left_to_measure_is_refused():
    with pytest.raises(ValueError, match="hides the whole pattern of 40 degree"):
        perturb(peaks(), "pxrd", "low_angles_missing", strength=40.0, bin_width=STEP)


@pytest.mark.parametrize(
    ("modality", "name", "strength", "message"),
    [
        ("pxrd", "rust", 0.1, "no perturbation pxrd rust; allowed: pxrd noise"),
        ("crystal", "noise", 0.1, "no perturbation crystal noise"),
        ("dos", "shift", -0.1, "strength=-0.1 has to be at least 0"),
    ],
)
def test_refusals(modality, name, strength, message):
    with pytest.raises(ValueError, match=message):
        perturb(peaks(), modality, name, strength=strength, bin_width=STEP)


def test_the_first_sentence_is_not_cut_at_a_decimal_point():
    text = "SrTiO3 is (Cubic) Perovskite, e.g. with 2.31 Å bonds, in the Pm-3m space group. All Ti-O are 1.97 Å."
    assert first_sentence(text) == text[: text.index(" All")]
    assert first_sentence("One.") == "One."


def test_numbers_go_and_names_stay():
    text = "Ti4+ is bonded to six O2- atoms to form TiO6 in P6_3/mmc. There are 3 shorter (1.97 Å) and -2.5-3.1 Å ones."
    assert without_numbers(text) == (
        "Ti4+ is bonded to six O2- atoms to form TiO6 in P6_3/mmc. There are shorter ( Å) and Å ones."
    )


def test_real_descriptions_keep_their_formula_and_lose_their_lengths():
    texts = pl.read_parquet(DATA / "text.parquet", columns=["text"])["text"].head(300)
    for text in texts:
        short, bare = (SHORTENED[name](text) for name in ("first_sentence", "without_numbers"))
        assert text.startswith(short)
        assert short.endswith(".")
        assert short.split()[0] == bare.split()[0] == text.split()[0]
        assert ("Å" in text) == ("Å" in bare)
        assert not any(word.replace(".", "", 1).isdigit() for word in bare.replace("(", "").split())
