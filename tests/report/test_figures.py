"""Every figure is drawn once, of every combination, and what is in its axes is counted."""

from __future__ import annotations

from typing import Any

import pytest

from matbind.report import stage
from matbind.report.blocks import Plate
from matbind.report.style import styled
from matbind.report.words import wording
from tests.report import examples

PANELS = {  # title of every visible panel, or how many there are
    "fig3_perovskite_overlap": 8,
    "fig5_tsne": 8,
    "fig6_pca": 8,
    "contributions": ["+ crystal", "+ dos", "+ pxrd", "+ text"],
    "shapley": ["retrieval", "space group"],
    "probes": ["space group", "band gap"],
    "fused": ["fewer modalities", examples.WHOLE],
    "robustness": 7,
    "gallery": ["crystal →", "dos →", "pxrd →", "text →"],
    "geometry": ["uniformity", "effective rank", "alignment", "modality gap"],
    "failure_patterns": 4,
}
ROWS = {  # labels of rows in all panels; panels beside each other may share theirs
    "fig7_pxrd_overlap": 4,
    "contributions": 48,
    "worth_of_hub": 12,
    "probes": 15,
    "geometry": 15,
    "fused": 4 * 3 + 4 * 4,
    "failures": 12,
    "robustness_text": 4,
}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    inputs = examples.read(examples.write(tmp_path_factory.mktemp("project")))
    plates = [block for question in stage.QUESTIONS for block in question.blocks(inputs) if isinstance(block, Plate)]
    with styled():
        return {plate.name: plate.draw() for plate in plates}


@pytest.mark.parametrize("name", PANELS)
def test_panels(name: str, figures: dict[str, Any]) -> None:
    expected = PANELS[name]
    titles = [axes.get_title(loc="left") for axes in figures[name].axes if axes.get_visible()]
    assert (titles if isinstance(expected, list) else len(titles)) == expected


@pytest.mark.parametrize("name", ROWS)
def test_every_row_has_its_label(name: str, figures: dict[str, Any]) -> None:
    labels = [label.get_text() for axes in figures[name].axes for label in axes.get_yticklabels()]
    assert len([label for label in labels if label]) == ROWS[name]


def test_every_legend_names_a_thing_once(figures: dict[str, Any]) -> None:
    for name, figure in figures.items():
        labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
        assert len(labels) == len(set(labels)), name


def test_chance_is_drawn_where_recalls_are(figures: dict[str, Any]) -> None:
    for name in ("fused", "robustness", "robustness_text", "gallery"):
        assert "chance" in {text.get_text() for text in figures[name].legends[0].get_texts()}, name


def test_every_question_and_figure_has_its_words_and_no_other_has(figures: dict[str, Any]) -> None:
    words = wording()
    assert list(words["question"]) == [question.name for question in stage.QUESTIONS]
    assert set(words["figure"]) == set(figures)
