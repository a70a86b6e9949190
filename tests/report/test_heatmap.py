from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Circle

from matbind.evaluation.comparison import assemble_comparison
from matbind.evaluation.retrieval import summarise
from matbind.modalities.combinations import Combination, all_combinations, pair_name, parse_combination
from matbind.modalities.table import TABLE
from matbind.report.heatmap import recall_figure
from matbind.report.style import styled

N = 400
BASELINE = parse_combination("crystal+dos+pxrd+text")


def comparison(failed: tuple[str, ...] = (), *, baseline: bool = True) -> dict[str, Any]:
    """Every combination, with recalls that count up from 0.10 in steps of 0.01 from pair to pair."""
    count = iter(range(1000))

    def results(combination: Combination) -> dict[str, Any]:
        pairs = {}
        for pair in combination.pairs():
            hits = np.arange(N) < 40 + 4 * (next(count) % 85)
            pairs[pair_name(*pair)] = summarise(np.where(hits, 1, 7), kind=combination.kind(*pair)).as_dict()
        return pairs

    runs = [
        {"combination": c.name, "error": "killed"}
        if c.name in failed
        else {"combination": c.name, "hub": c.hub, "run_id": None, "pairs": results(c), "trainings": []}
        for c in all_combinations()
    ]
    base = results(BASELINE) if baseline else {}
    return assemble_comparison(runs, baseline=base, data_md5=None, git_commit=None)


def drawn(content: dict[str, Any], *, k: int = 1) -> Any:
    with styled():
        return recall_figure(content, k=k).axes[0]


def words(axes: Any) -> Counter[str]:
    return Counter(text.get_text() for text in axes.texts)


def test_heatmap_shows_every_value():
    content = comparison()
    entries = [*content["combinations"].values(), {"pairs": content["baseline"]}]
    values = Counter(f"{pair['recall_at_1']:.2f}" for entry in entries for pair in entry["pairs"].values())
    shown = Counter({text: n for text, n in words(drawn(content)).items() if text.startswith("0.") and len(text) == 4})
    assert sum(values.values()) == 4 + 6 * 2 + 4 * 6 + 12 + 12
    assert shown == values


def test_heatmap_shows_the_recall_asked_for():
    content = comparison(baseline=False)
    assert words(drawn(content, k=10))["1.00"] == 4 + 6 * 2 + 4 * 6 + 12


def test_emergent_pairs_are_discs():
    discs = [patch for patch in drawn(comparison()).patches if isinstance(patch, Circle)]
    assert len(discs) == 4 * 2 + 6 + 6 + 1  # four of three, the one of four, the baseline, the legend


def test_impossible_pairs_are_hatched():
    hatched = [patch for patch in drawn(comparison(baseline=False)).patches if patch.get_hatch()]
    assert len(hatched) == 15 * 13 - (4 + 6 * 2 + 4 * 6 + 12) + 1  # 15 rows of 12 pairs and the views, and the legend


def test_hub_of_every_row_is_a_star():
    axes = drawn(comparison())
    stars = Counter(round(float(line.get_xdata()[0]), 2) for line in axes.lines if line.get_marker() == "*")
    assert sorted(stars.values()) == [1, 1, 2, 4, 9]  # legend; dos, pxrd, text; crystal in 8 and the baseline


def test_title_says_gallery_and_chance():
    assert "test split, query → key, gallery of N = 400 materials, chance 1.25 %" in words(drawn(comparison(), k=5))


def test_failed_combination_is_drawn_as_failed():
    shown = words(drawn(comparison(failed=("dos", "crystal+pxrd"))))
    assert shown["training failed"] == 2


def test_pair_without_a_result_is_not_drawn_as_impossible():
    content = comparison()
    del content["combinations"]["crystal+dos"]["pairs"]["dos->crystal"]
    assert words(drawn(content))["none"] == 1


@pytest.mark.parametrize("failed", [(), ("crystal+dos+pxrd+text",)], ids=["all", "one failed"])
def test_no_text_overlaps_another_or_leaves_the_figure(failed):
    axes = drawn(comparison(failed))
    canvas = FigureCanvasAgg(axes.figure)
    boxes = {
        (text.get_text(), text.get_position()): text.get_window_extent(canvas.get_renderer()) for text in axes.texts
    }
    width, height = canvas.get_width_height()
    for (text, _), box in boxes.items():
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0, text
    for (one, first), (other, second) in combinations(boxes.items(), 2):
        assert not first.overlaps(second), (one, other)


def test_fifth_modality_gets_its_columns(monkeypatch):
    monkeypatch.setitem(TABLE, "raman", "raman")
    content = comparison()
    axes = drawn(content)
    assert words(axes)["raman →"] == 1
    assert len([patch for patch in axes.patches if patch.get_hatch()]) > 31 * 21 / 2


def test_nothing_trained_is_drawn_without_rows():
    content = assemble_comparison([], baseline={}, data_md5=None, git_commit=None)
    axes = drawn(content)
    assert words(axes)["crystal →"] == 1
    assert len([patch for patch in axes.patches if patch.get_hatch()]) == 1  # the legend
