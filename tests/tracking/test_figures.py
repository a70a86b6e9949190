from __future__ import annotations

from pathlib import Path

import PIL.Image

from matbind.tracking.figures import pair_heatmap


def _evaluation(combination: str, recalls: dict[str, float]) -> dict[str, object]:
    pairs = {pair: {"kind": "aligned", "recall_at_1": value} for pair, value in recalls.items()}
    return {"combination": combination, "pairs": pairs}


def test_every_pair_of_a_combination_is_drawn(tmp_path: Path) -> None:
    evaluation = _evaluation("crystal+dos", {"dos->crystal": 0.25, "crystal->dos": 0.75})

    path = pair_heatmap(evaluation, tmp_path / "recall.svg")

    assert path.stat().st_size > 0


def test_a_single_modality_is_one_cell(tmp_path: Path) -> None:
    with PIL.Image.open(pair_heatmap(_evaluation("text", {"text->text": 1.0}), tmp_path / "recall.png")) as image:
        assert image.width > image.height > 100


def test_a_pair_that_was_not_measured_stays_empty(tmp_path: Path) -> None:
    evaluation = _evaluation("crystal+dos+text", {"dos->crystal": 0.25})

    assert pair_heatmap(evaluation, tmp_path / "recall.png").exists()
