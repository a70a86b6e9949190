from __future__ import annotations

import subprocess
import sys
from collections import Counter
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Circle

from matbind.evaluation.comparison import assemble_comparison
from matbind.evaluation.retrieval import summarise
from matbind.modalities import combinations as modality
from matbind.modalities.combinations import all_combinations, pair_name, parse_combination
from matbind.report import style as plots
from matbind.report.style import learning_curves, recall_figure, save_figure

N = 400
BASELINE = parse_combination("crystal+dos+pxrd+text")


def comparison(failed: tuple[str, ...] = (), *, baseline: bool = True) -> dict[str, Any]:
    """Every combination, with recalls that count up from 0.10 in steps of 0.01 from pair to pair."""
    count = iter(range(1000))

    def results(combination: modality.Combination) -> dict[str, Any]:
        pairs = {}
        for pair in combination.pairs():
            hits = np.arange(N) < 40 + 4 * (next(count) % 85)
            pairs[pair_name(*pair)] = summarise(np.where(hits, 1, 7), kind=combination.kind(*pair)).as_dict()
        return pairs

    runs = [
        {"combination": c.name, "error": "killed"}
        if c.name in failed
        else {"combination": c.name, "hub": c.hub, "run_id": None, "pairs": results(c)}
        for c in all_combinations()
    ]
    base = results(BASELINE) if baseline else {}
    return assemble_comparison(runs, baseline=base, data_md5=None, git_commit=None)


def drawn(content: dict[str, Any], *, k: int = 1) -> Any:
    with plots._style():
        return plots.recall_figure(content, k=k).axes[0]


def words(axes: Any) -> Counter[str]:
    return Counter(text.get_text() for text in axes.texts)


def history(n_epochs: int = 6) -> list[dict[str, float]]:
    return [
        {"epoch": float(e + 1), "loss": 3.0 / (e + 1), "loss.text": 2.0 / (e + 1), "loss.dos": 4.0 / (e + 1)}
        | ({"validation_recall_at_1": 0.1 * e, "validation_recall_at_1.text->crystal": 0.12 * e} if e % 2 else {})
        for e in range(n_epochs)
    ]


def test_heatmap_is_written_as_png_and_svg(tmp_path):
    png, svg = save_figure(partial(recall_figure, comparison(), k=1), tmp_path / "recall@1.test")
    assert (png.name, svg.name) == ("recall@1.test.png", "recall@1.test.svg")
    assert png.read_bytes().startswith(b"\x89PNG\r\n")
    assert svg.read_text().rstrip().endswith("</svg>")


def test_same_heatmap_gives_the_same_file(tmp_path):
    content = comparison()
    svgs = [save_figure(partial(recall_figure, content, k=5), tmp_path / name)[1].read_bytes() for name in "ab"]
    assert svgs[0] == svgs[1]


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
    monkeypatch.setattr(modality, "MODALITIES", (*modality.MODALITIES, "raman"))
    content = comparison()
    axes = drawn(content)
    assert words(axes)["raman →"] == 1
    assert len([patch for patch in axes.patches if patch.get_hatch()]) > 31 * 21 / 2


def test_nothing_trained_is_drawn_empty(tmp_path):
    content = assemble_comparison([], baseline={}, data_md5=None, git_commit=None)
    assert save_figure(partial(recall_figure, content, k=1), tmp_path / "empty")[0].exists()


def test_drawing_leaves_the_backend_alone(tmp_path):
    code = (
        "import sys, pathlib; from matbind.report.style import learning_curves;"
        "learning_curves([{'epoch': 1, 'loss': 2.0}], pathlib.Path(sys.argv[1]));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "curves.png")], check=True)


def test_curves_are_written(tmp_path):
    path = learning_curves(history(), tmp_path / "curves.png")
    assert path.read_bytes().startswith(b"\x89PNG\r\n")


def test_curves_of_one_epoch_are_written(tmp_path):
    assert learning_curves(history(1), tmp_path / "curves.svg").stat().st_size > 0


def test_curve_skips_epochs_that_were_not_validated():
    assert plots._series(history(), "validation_recall_at_1") == ([2.0, 4.0, 6.0], [0.1, pytest.approx(0.3), 0.5])


def test_curves_of_nothing_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="at least one epoch"):
        learning_curves([], tmp_path / "curves.png")
