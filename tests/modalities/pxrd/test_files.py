from __future__ import annotations

import gzip
import shutil

import fairmat_readers_xrd
import numpy as np
import pytest
from gemmi import cif

from matbind.base.errors import UserError
from matbind.modalities.pxrd.files import read_pattern
from tests.modalities.pxrd.instruments import DATA, GRID_OF_FILE, columns, counts, raw4, write_brml, write_rasx

HEADER = "# Wavelength = 1.5406\n"
Y = counts(GRID_OF_FILE)


def _read(tmp_path, text, *, name="a.xy", wavelength=None, encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return read_pattern(path, wavelength=wavelength)


def _assert_as_written(pattern):
    np.testing.assert_allclose(pattern.two_theta_deg, GRID_OF_FILE, atol=1e-4)
    np.testing.assert_allclose(pattern.intensity, Y, atol=0.01)


@pytest.mark.parametrize("sign", ["#", "!", "'", ";", "*"])
def test_comments_of_every_kind_stand_above_the_columns(tmp_path, sign):
    header = f"{sign} Sample: NaCl 99.9\n{sign} Wavelength = 1.5406\n\n"
    pattern = _read(tmp_path, columns(GRID_OF_FILE, Y, header=header))
    _assert_as_written(pattern)
    assert pattern.wavelength_angstrom == 1.5406
    assert pattern.note == "wavelength 1.5406 A from the file (Wavelength = 1.5406)"


@pytest.mark.parametrize(("separator", "decimal"), [("\t", "."), (",", "."), (";", "."), (";", ","), ("   ", ",")])
def test_columns_are_separated_as_programs_of_all_countries_do(tmp_path, separator, decimal):
    text = columns(GRID_OF_FILE, Y, header=HEADER, separator=separator, decimal=decimal)
    _assert_as_written(_read(tmp_path, text))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_marks_and_encodings_do_not_matter(tmp_path, encoding):
    text = columns(GRID_OF_FILE, Y, header="# 2é [°] Wavelength = 1.5406 Å\n").replace("\n", "\r\n")
    _assert_as_written(_read(tmp_path, text, encoding=encoding))


def test_descending_angles_are_turned_round(tmp_path):
    _assert_as_written(_read(tmp_path, columns(GRID_OF_FILE[::-1], Y[::-1], header=HEADER)))


def test_a_third_column_is_left_alone(tmp_path):
    rows = "".join(f"{x:.4f} {y:.2f} {np.sqrt(y):.3f}\n" for x, y in zip(GRID_OF_FILE, Y, strict=True))
    _assert_as_written(_read(tmp_path, HEADER + rows, name="a.xye"))


def test_the_header_may_name_other_columns_first(tmp_path):
    rows = "".join(f"{i},{x:.4f},{y:.2f}\n" for i, (x, y) in enumerate(zip(GRID_OF_FILE, Y, strict=True)))
    _assert_as_written(_read(tmp_path, HEADER + "No,2Theta,Counts\n" + rows, name="a.csv"))


def test_an_export_with_keys_and_values_above_the_points_is_read(tmp_path):
    header = "[Measurement conditions]\nSample name,NaCl\nAnode material,Cu\nK-Alpha1 wavelength,1.540598\n"
    header += "K-Alpha2 wavelength,1.544426\nRatio K-Alpha2/K-Alpha1,0.5\n[Scan points]\nAngle,Intensity\n"
    pattern = _read(tmp_path, columns(GRID_OF_FILE, Y, header=header, separator=","), name="a.csv")
    _assert_as_written(pattern)
    assert pattern.wavelength_angstrom == pytest.approx(1.541874, abs=1e-6)


@pytest.mark.parametrize("between", ["", "\n", "# Scan 2\n", "Scan 2\n"])
def test_of_several_scans_the_first_is_read_and_the_note_says_so(tmp_path, between):
    text = columns(GRID_OF_FILE, Y, header=HEADER) + between + columns(GRID_OF_FILE, 2 * Y)
    pattern = _read(tmp_path, text)
    _assert_as_written(pattern)
    assert pattern.note.endswith("; the first of 2 scans")


def test_start_step_and_stop_above_bare_intensities_make_the_angles(tmp_path):
    values = [f"{y:8.0f}" for y in Y]
    lines = ["".join(values[i : i + 10]) for i in range(0, len(values), 10)]
    text = "Wavelength = 1.5406\n20.0 0.1 60.0\n" + "\n".join(lines) + "\n"
    _assert_as_written(_read(tmp_path, text, name="a.dat"))


@pytest.mark.parametrize(
    ("name", "position"),
    [
        ("Q (1/A)", lambda s: 4 * np.pi * s / 1.5406),
        ("q [nm^-1]", lambda s: 40 * np.pi * s / 1.5406),
        ("d (A)", lambda s: 1.5406 / (2 * s)),
    ],
)
def test_scattering_vectors_and_spacings_become_angles(tmp_path, name, position):
    x = position(np.sin(np.radians(GRID_OF_FILE) / 2))
    rows = "".join(f"{a:.9f}\t{y:.2f}\n" for a, y in zip(x, Y, strict=True))
    pattern = _read(tmp_path, f"# Wavelength = 1.5406\n# {name}\tIntensity\n" + rows)
    _assert_as_written(pattern)


def test_scattering_vectors_need_no_wavelength(tmp_path):
    x = 4 * np.pi * np.sin(np.radians(GRID_OF_FILE) / 2) / 1.54184
    rows = "".join(f"{a:.9f}\t{y:.2f}\n" for a, y in zip(x, Y, strict=True))
    pattern = _read(tmp_path, "# Q (1/A)\tIntensity\n" + rows)
    _assert_as_written(pattern)
    assert pattern.note == "positions in q, as angles for 1.54184 A"


def test_the_option_is_used_only_where_the_file_names_no_wavelength(tmp_path):
    bare = columns(GRID_OF_FILE, Y)
    given = _read(tmp_path, bare, wavelength="MoKa")
    assert (given.wavelength_angstrom, given.note) == (0.71073, "wavelength 0.71073 A as given (MoKa)")
    assert _read(tmp_path, HEADER + bare, wavelength="MoKa").wavelength_angstrom == 1.5406


def test_without_a_wavelength_nothing_is_guessed(tmp_path):
    with pytest.raises(UserError, match=r"a\.xy: the file names no wavelength; give it as an option, such as CuKa"):
        _read(tmp_path, columns(GRID_OF_FILE, Y))


def _spoilt(line):
    lines = columns(GRID_OF_FILE, Y, header=HEADER).splitlines()
    lines[100] = line
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        (b"PK\x03\x04\0\0\0\0", "binary data"),
        ("just words\n", "no two columns of numbers"),
        (columns(GRID_OF_FILE[:49], Y[:49], header=HEADER), "has 49 points, expected at least 50"),
        (columns(GRID_OF_FILE, 0 * Y, header=HEADER), "no intensity above zero"),
        (_spoilt("29.9 nan"), "line 101 holds a value that is not finite"),
        (_spoilt("29.9 inf"), "line 101 holds a value that is not finite"),
        (_spoilt("*** overflow"), None),
        (_spoilt("overflow"), "line 101 holds 'overflow', expected a position and an intensity"),
        (_spoilt("29.9"), "line 101 holds '29.9'"),
        (_spoilt("12.0 40"), "line 101 turns back to 12"),
        (columns(GRID_OF_FILE + 150, Y, header=HEADER), "angles reach 210"),
        (columns(np.round(GRID_OF_FILE / 20) * 20, Y, header=HEADER), "repeat the position before"),
        (columns(GRID_OF_FILE, Y, header="# Wavelength = 1.5406\n# Theta,Intensity\n", separator=","), "'theta'"),
        (columns(GRID_OF_FILE, Y, header="Wavelength = 1.54\nWavelength = 0.71\n"), "several wavelengths"),
    ],
)
def test_what_is_no_pattern_is_refused_in_one_sentence(tmp_path, text, words):
    if words is None:  # a comment
        assert len(_read(tmp_path, text).intensity) == 400
        return
    with pytest.raises(UserError, match=words) as caught:
        _read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "a.xy"))
    assert "\n" not in str(caught.value)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"its ending \.png is of no powder pattern"):
        _read(tmp_path, "1 2", name="a.png")


def test_xrdml_as_the_public_reader_reads_it():
    pattern = read_pattern(DATA / "powder.xrdml")
    oracle = fairmat_readers_xrd.read_file(str(DATA / "powder.xrdml"))
    np.testing.assert_allclose(pattern.two_theta_deg, oracle["2Theta"].magnitude)
    np.testing.assert_allclose(pattern.intensity, oracle["intensity"].magnitude)
    assert pattern.wavelength_angstrom == pytest.approx((2 * 1.540598 + 1.544426) / 3)


def test_a_packed_xrdml_is_read(tmp_path):
    path = tmp_path / "powder.XRDML.gz"
    path.write_bytes(gzip.compress((DATA / "powder.xrdml").read_bytes()))
    _assert_as_written(read_pattern(path))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('intended="K-Alpha"', 'intended="K-Alpha 1"', 1.540598),
        ("<ratioKAlpha2KAlpha1>0.5000</ratioKAlpha2KAlpha1>", "", (2 * 1.540598 + 1.544426) / 3),
        ("XRDMeasurement/1.5", "XRDMeasurement/2.1", (2 * 1.540598 + 1.544426) / 3),
    ],
)
def test_the_wavelength_of_xrdml_is_that_of_the_lines_used(tmp_path, old, new, expected):
    text = (DATA / "powder.xrdml").read_text().replace(old, new)
    assert _read(tmp_path, text, name="a.xrdml").wavelength_angstrom == pytest.approx(expected)


def test_counts_of_xrdml_are_multiplied_with_the_attenuation(tmp_path):
    text = (DATA / "powder.xrdml").read_text()
    factors = "<beamAttenuationFactors>" + " ".join(["2.0"] * 401) + "</beamAttenuationFactors>"
    text = text.replace("</intensities>", "</counts>" + factors).replace("<intensities", "<counts")
    np.testing.assert_allclose(_read(tmp_path, text, name="a.xrdml").intensity, 2 * Y)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('axis="2Theta"', 'axis="Phi"', "has no 2Theta axis"),
        (
            "<startPosition>20.0</startPosition><endPosition>60.0</endPosition>",
            "<commonPosition>30</commonPosition>",
            "stood still",
        ),
        ("</xrdMeasurements>", "", "not whole XML"),
        ("xrdMeasurements", "notMeasurements", None),
        ('intended="K-Alpha"', 'intended="K-Beta"', "measured with K-Beta"),
        ("intensities", "nothing", "holds no intensities"),
        ('<?xml version="1.0" encoding="UTF-8"?>', "<!DOCTYPE a>", "document type"),
    ],
)
def test_a_damaged_xrdml_is_refused(tmp_path, old, new, words):
    text = (DATA / "powder.xrdml").read_text()
    if words is None:
        text, words = "<html></html>", "begins with <html>"
    with pytest.raises(UserError, match=words):
        _read(tmp_path, text.replace(old, new), name="a.xrdml")


def test_rasx_as_the_public_reader_reads_it(tmp_path):
    write_rasx(tmp_path / "a.rasx")
    pattern = read_pattern(tmp_path / "a.rasx")
    oracle = fairmat_readers_xrd.read_file(str(tmp_path / "a.rasx"))
    np.testing.assert_allclose(pattern.two_theta_deg, oracle["2Theta"].magnitude)
    np.testing.assert_allclose(pattern.intensity, oracle["intensity"].magnitude)
    assert pattern.wavelength_angstrom == pytest.approx((2 * 1.540593 + 1.544414) / 3)
    assert pattern.note.endswith("(the tube, Cu)")


def test_the_attenuation_of_rasx_is_undone_and_the_first_scan_taken(tmp_path):
    write_rasx(tmp_path / "a.rasx", attenuation=4.0, scans=2)
    pattern = read_pattern(tmp_path / "a.rasx")
    _assert_as_written(pattern)
    assert pattern.note.endswith("the first of 2 scans")


def test_a_rocking_curve_in_rasx_is_refused(tmp_path):
    write_rasx(tmp_path / "a.rasx", axis="Omega")
    with pytest.raises(UserError, match="scanned over Omega"):
        read_pattern(tmp_path / "a.rasx")


def test_brml_as_the_public_reader_reads_it(tmp_path):
    write_brml(tmp_path / "a.brml")
    pattern = read_pattern(tmp_path / "a.brml")
    oracle = fairmat_readers_xrd.read_file(str(tmp_path / "a.brml"))
    np.testing.assert_allclose(pattern.two_theta_deg, oracle["2Theta"].magnitude)
    np.testing.assert_allclose(pattern.intensity, oracle["intensity"].magnitude)
    assert pattern.wavelength_angstrom == pytest.approx((2 * 1.788965 + 1.792850) / 3)


def test_a_brml_scanned_over_another_axis_is_refused(tmp_path):
    write_brml(tmp_path / "a.brml", axis="Phi")
    with pytest.raises(UserError, match="scanned over Phi, Theta, expected a scan over TwoTheta"):
        read_pattern(tmp_path / "a.brml")


@pytest.mark.parametrize("name", ["a.brml", "a.rasx"])
def test_what_is_no_archive_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="not a whole zip archive"):
        _read(tmp_path, "no archive", name=name)


def test_raw_as_the_public_reader_reads_it(tmp_path):
    pattern = _read(tmp_path, raw4(), name="a.raw")
    oracle = fairmat_readers_xrd.read_file(str(tmp_path / "a.raw"))
    np.testing.assert_allclose(pattern.two_theta_deg, oracle["2Theta"].magnitude)
    np.testing.assert_allclose(pattern.intensity, oracle["intensity"].magnitude)
    assert pattern.wavelength_angstrom == pytest.approx(1.541874)


def test_raw_points_may_be_of_four_bytes(tmp_path):
    _assert_as_written(_read(tmp_path, raw4(point_bytes=4), name="a.raw"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"RAW1.01\0" + bytes(100), "begins with 'RAW1.01', expected RAW4.00"),
        (raw4()[:-100], "cut off"),
        (raw4()[:300], "cut off"),
        (raw4()[:0x1BF], "no measured range"),
        (raw4(drive="Phi"), "no scan over 2Theta"),
    ],
)
def test_a_raw_that_cannot_be_trusted_is_refused(tmp_path, content, words):
    with pytest.raises(UserError, match=words):
        _read(tmp_path, content, name="a.raw")


def test_powder_cif_as_gemmi_reads_it():
    pattern = read_pattern(DATA / "powder.cif")
    block = cif.read_file(str(DATA / "powder.cif"))[1]
    np.testing.assert_allclose(pattern.two_theta_deg, [float(x) for x in block.find_values("_pd_meas_2theta_scan")])
    expected = [cif.as_number(x) for x in block.find_values("_pd_meas_counts_total")]
    np.testing.assert_allclose(pattern.intensity, expected)
    assert pattern.wavelength_angstrom == 0.71073


def test_powder_cif_with_a_range_of_angles_and_the_names_of_newer_dictionaries(tmp_path):
    rows = "\n".join(f"{y:.0f}" for y in Y)
    text = "data_a\n_pd_meas.2theta_range_min 20\n_pd_meas.2theta_range_max 60\n_pd_meas.2theta_range_inc 0.1\n"
    text += f"_diffrn_radiation_wavelength.value 1.5406\nloop_\n_pd_meas.counts_total\n{rows}\n"
    _assert_as_written(_read(tmp_path, text, name="a.cif"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("_pd_meas_counts_total", "_pd_calc_other", "holds no powder pattern"),
        ("28.40 ", "twenty ", "holds 'twenty', expected a number"),
        ("data_si_pwd", "data_si_pwd loop_ loop_", "this is no CIF"),
    ],
)
def test_a_damaged_powder_cif_is_refused(tmp_path, old, new, words):
    shutil.copy(DATA / "powder.cif", tmp_path / "b.cif")
    with pytest.raises(UserError, match=words):
        _read(tmp_path, (tmp_path / "b.cif").read_text().replace(old, new), name="a.cif")
