from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from matbind.report.inputs import FILES
from matbind.report.summary import headline, summary
from tests.report import examples

WHY = {"unavailable": "the models were lost."}


def sentences_of(root: Path, names: Iterable[str] = examples.ALL, **changed: Any) -> dict[str, str]:
    return summary(examples.read(examples.write(root, names, **changed)))


def helping(values: Iterable[float], width: float = 0.02) -> dict[str, Any]:
    content = examples.helping()
    shares = dict(zip(("crystal", "dos", "pxrd", "text"), values, strict=True))
    content["shapley"]["retrieval"]["values"] = {
        name: {"value": value, "ci95": [value - width, value + width]} for name, value in shares.items()
    }
    return content


def test_the_largest_share_helps_most(tmp_path: Path) -> None:
    assert sentences_of(tmp_path)["What adds most"] == (
        "Crystal adds most to what can be retrieved (Shapley value +0.200, 95 % interval 0.180 to 0.220, of the mean "
        "recall@1 over all pairs, those that it makes possible among them), before text +0.140, pxrd +0.100, dos "
        "\N{MINUS SIGN}0.010."
    )


def test_nothing_helps_if_every_interval_includes_zero(tmp_path: Path) -> None:
    sentence = sentences_of(tmp_path, helping=helping([0.01, -0.01, 0.0, 0.005]))["What adds most"]
    assert sentence.startswith("No modality is shown to help retrieval: the largest share, that of crystal")


def test_a_first_place_is_not_clear_if_intervals_overlap(tmp_path: Path) -> None:
    sentence = sentences_of(tmp_path, helping=helping([0.2, 0.0, 0.1, 0.19]))["How sure that is"]
    assert sentence.startswith("The intervals of crystal and of the next, text, overlap: its first place is not clear;")


def test_certainty_comes_with_n_and_chance(tmp_path: Path) -> None:
    sentence = sentences_of(tmp_path)["How sure that is"]
    assert sentence.endswith(
        "where a pair was answered already, 24 of 48 additions of a modality raise its recall@1 beyond doubt, 12 lower "
        "it and 12 decide nothing (N = 60 test materials, chance 0.017)."
    )


def test_what_hurts_and_what_is_idle_are_named(tmp_path: Path) -> None:
    assert sentences_of(tmp_path)["What it costs other pairs"] == (
        "Of the pairs that are answered without it, more fall in recall@1 than rise on adding dos (lower in 12 of 12, "
        "higher in 0, mean \N{MINUS SIGN}0.090); adding pxrd raises no recall beyond doubt."
    )


def test_missing_combinations_leave_the_additions_to_tell(tmp_path: Path) -> None:
    names = [name for name in examples.ALL if name not in {"dos", "dos+text"}]
    sentences = sentences_of(tmp_path, names)
    assert sentences["What adds most"].startswith("Crystal seems to help retrieval most: recall@1 changes by +0.120")
    assert "2 combinations are missing" in sentences["What to be careful about"]


def test_knowledge_is_what_goes_beyond_the_composition(tmp_path: Path) -> None:
    assert sentences_of(tmp_path)["What the latent space knows"] == (
        "Beyond the composition, crystal+dos+pxrd+text tells space group (accuracy 0.100 higher); no clear gain for "
        "band gap; perovskites overlap least with other ABX3 compounds in crystal+pxrd (overlap area 0.390, p = 0.004)."
    )


def test_without_probes_the_perovskites_are_still_told(tmp_path: Path) -> None:
    sentence = sentences_of(tmp_path, probes=None)["What the latent space knows"]
    assert sentence.startswith(
        "Perovskites overlap least with other ABX3 compounds in crystal+pxrd (overlap area 0.390"
    )


def test_caution_names_the_gallery_and_the_alarms(tmp_path: Path) -> None:
    sentence = sentences_of(tmp_path)["What to be careful about"]
    assert "the gallery is 140 times smaller than the paper's" in sentence
    assert "1 alarm of a collapsing embedding is raised" in sentence


@pytest.mark.parametrize("names", [["crystal"], ["crystal+dos"]])
def test_one_combination_gives_five_sentences(names: list[str], tmp_path: Path) -> None:
    sentences = sentences_of(tmp_path, names)
    assert len(sentences) == 5
    assert sentences["What adds most"] == (
        "Which modality helps most cannot be said: too few combinations are trained to compare them."
    )
    assert sentences["How sure that is"].startswith("Modalities cannot be compared; recall@1 of ")


def test_if_nothing_is_available_each_sentence_says_why(tmp_path: Path) -> None:
    sentences = sentences_of(tmp_path, [], **dict.fromkeys(FILES, WHY))
    [only] = [sentence for sentence in sentences.values() if "cannot be said" not in sentence]
    assert only == (
        "Intervals resample the test materials of one training each (seed 0), and do not hold what another training "
        "would change."
    )
    assert sentences["What the latent space knows"] == (
        "What the latent space knows cannot be said: the models were lost."
    )


def test_several_trainings_are_told(tmp_path: Path) -> None:
    root = examples.write(tmp_path)
    (root / "metrics/comparison.json").write_text(json.dumps(examples.comparison(seeds=(0, 1, 4))))
    sentence = summary(examples.read(root))["What to be careful about"]
    assert sentence.startswith("Figures are means of 3 trainings (seeds 0, 1 and 4), and intervals hold what training")


def test_key_figures_come_with_what_to_compare_them_to(tmp_path: Path) -> None:
    figures = {label: (value, note) for label, value, note in headline(examples.read(examples.write(tmp_path)))}
    assert list(figures) == [
        *("best aligned recall@1", "best emergent recall@1", "largest Shapley value", "gallery N"),
    ]
    assert figures["largest Shapley value"] == (
        "+0.200",
        "crystal; 95 % interval 0.180 to 0.220 of the mean recall@1",
    )
    assert figures["best emergent recall@1"][1].endswith("The paper's best: 0.731, in a larger gallery")
    assert figures["gallery N"] == ("60", "materials of the test split; chance of recall@1 is 0.017")
