from __future__ import annotations

import numpy as np
import pytest

from matbind.evaluation.vectors import (
    alignment,
    collapse_alarm,
    describe_space,
    effective_rank,
    modality_gap,
    uniformity,
)

CROSS = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, -4.0]])


def cloud(n: int = 300, d: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.parametrize(("angle_deg", "expected"), [(0, 0.0), (60, 1.0), (90, 2.0), (180, 4.0)])
def test_alignment_of_directions_at_an_angle(angle_deg, expected):
    a, b = np.array([[1.0, 0.0]]), 7 * np.array([[np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))]])
    assert alignment(a, b) == pytest.approx(expected, abs=1e-12)


def test_uniformity_of_four_directions_by_hand():
    # Of a direction's three partners, two are at squared distance 2 and one at 4.
    assert uniformity(CROSS) == pytest.approx(np.log((2 * np.exp(-4) + np.exp(-8)) / 3), rel=1e-12)


def test_uniformity_is_zero_where_all_is_the_same():
    assert uniformity(np.ones((5, 3))) == pytest.approx(0.0, abs=1e-12)


def test_uniformity_does_not_depend_on_the_chunks(monkeypatch):
    whole = uniformity(cloud(101))
    monkeypatch.setattr("matbind.evaluation.vectors.CHUNK_SIZE", 17)
    assert uniformity(cloud(101)) == pytest.approx(whole, rel=1e-12)


def test_the_gap_is_the_distance_of_the_means():
    # Means (0.5, 0.5) and (-0.5, -0.5).
    assert modality_gap(CROSS[:2], CROSS[2:]) == pytest.approx(np.sqrt(2))
    assert modality_gap(CROSS, CROSS[::-1]) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.eye(4), 3.0),  # around their mean, four corners span three equal directions
        (CROSS, 2.0),
        (np.ones((5, 3)), 0.0),
    ],
)
def test_effective_rank_of_equal_directions(values, expected):
    assert effective_rank(values) == pytest.approx(expected, abs=1e-9)


def test_effective_rank_by_hand():
    # Unit rows e1 and -e1 four times, e2 and -e2 once: singular values in the ratio 2 to 1, shares 2/3 and 1/3.
    values = np.array([[1.0, 0], [-1.0, 0]] * 4 + [[0.0, 1], [0.0, -1]])
    expected = np.exp(-(2 / 3) * np.log(2 / 3) - (1 / 3) * np.log(1 / 3))
    assert effective_rank(values) == pytest.approx(expected, rel=1e-12)


def test_no_alarm_for_a_spread_out_space():
    assert collapse_alarm(cloud()) == []


def test_alarm_where_vectors_coincide():
    alarm = collapse_alarm(np.ones(8) + 1e-3 * cloud())
    assert alarm == ["mean cosine between materials 1.0000 is above 0.99"]


def test_alarm_where_one_direction_is_used():
    line = np.outer(np.linspace(-1, 1, 50), np.arange(1.0, 9.0))
    assert collapse_alarm(line) == ["effective rank 1.00 is below 2 of 8 dimensions"]


def test_a_space_is_described_over_the_materials_that_hold_each_modality():
    a, b = cloud(20), cloud(20, seed=1)
    b[:5] = np.nan
    space = describe_space({"crystal": a, "dos": b, "text": np.full((20, 8), np.nan)})
    assert list(space["modalities"]) == ["crystal", "dos"]
    assert space["modalities"]["dos"]["n"] == 15
    assert list(space["pairs"]) == ["crystal->dos"]
    assert space["pairs"]["crystal->dos"]["alignment"] == alignment(a[5:], b[5:])
    assert space["pairs"]["crystal->dos"]["modality_gap"] == modality_gap(a[5:], b[5:])
