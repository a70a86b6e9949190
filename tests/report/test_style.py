from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from matbind.report.style import draw_learning_curves, learning_curves, save_figure


def history(n_epochs: int = 6) -> list[dict[str, float]]:
    return [
        {"epoch": float(e + 1), "loss": 3.0 / (e + 1), "loss.text": 2.0 / (e + 1), "loss.dos": 4.0 / (e + 1)}
        | ({"validation_recall_at_1": 0.1 * e, "validation_recall_at_1.text->crystal": 0.12 * e} if e % 2 else {})
        for e in range(n_epochs)
    ]


def simple_figure() -> Figure:
    figure = Figure()
    figure.subplots().plot([0, 1])
    return figure


def test_a_figure_is_written_as_png_and_svg(tmp_path):
    png, svg = save_figure(simple_figure, tmp_path / "recall@1.test")
    assert (png.name, svg.name) == ("recall@1.test.png", "recall@1.test.svg")
    assert png.read_bytes().startswith(b"\x89PNG\r\n")
    assert svg.read_text().rstrip().endswith("</svg>")


def test_the_same_figure_gives_the_same_file(tmp_path):
    svgs = [save_figure(simple_figure, tmp_path / name)[1].read_bytes() for name in "ab"]
    assert svgs[0] == svgs[1]


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


@pytest.mark.parametrize("n_epochs", [1, 6])
def test_loss_has_a_curve_a_spoke_and_one_of_the_mean(n_epochs):
    left, _ = draw_learning_curves(history(n_epochs)).axes
    assert {line.get_label(): len(line.get_xdata()) for line in left.lines} == dict.fromkeys(
        ("dos", "text", "mean"), n_epochs
    )


def test_curve_skips_epochs_that_were_not_validated():
    _, right = draw_learning_curves(history()).axes
    mean = right.lines[-1]
    assert (list(mean.get_xdata()), list(mean.get_ydata())) == ([2.0, 4.0, 6.0], [0.1, pytest.approx(0.3), 0.5])


def test_curves_of_nothing_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="at least one epoch"):
        learning_curves([], tmp_path / "curves.png")
