from __future__ import annotations

import pytest
import yaml

from matbind.report.tuning import comments, document, figures, space_in_words, verdict
from matbind.report.tuning_plots import draw, write_page
from matbind.training.tuning.study import Outcome, Study
from tests.training.tuning.tuning import DEFAULTS, made_up_recall, make_tune

PNG = b"\x89PNG\r\n\x1a\n"


def _side(number, values, recall):
    return {
        "number": number,
        "values": values,
        "validation_recall_at_1": recall,
        "validation_pairs": {"crystal->text": recall, "text->crystal": recall},
        "test_recall_at_1": recall - 0.01,
        "test_pairs": {"crystal->text": recall - 0.01, "text->crystal": recall - 0.01},
    }


def _made_up():
    own = make_tune(trials=8)
    study = Study(own, DEFAULTS, seed=0)
    for number in range(8):
        values = study.proposal(number)
        recalls = {epoch: made_up_recall(values, epoch) for epoch in (1, 2, 3)}
        if number == 6:
            study.settle(number, Outcome("failed", reason="the loss is nan"))
        elif number == 5:
            study.settle(number, Outcome("pruned", {1: recalls[1]}))
        else:
            study.settle(number, Outcome("complete", recalls))
    complete = {number: each.value for number, each in study.outcomes.items() if each.state == "complete"}
    best = max(complete, key=complete.__getitem__)
    found = {
        "enabled": True,
        "preset": "smoke",
        "seed": 0,
        "study": "abc",
        "data_md5": "1234.dir",
        "git_commit": "cafe",
        "combination": "crystal+text",
        "epochs": 3,
        "space": space_in_words(own.space),
        "choices": {name: parameter.choices for name, parameter in own.space.items()},
        "n_earlier": 0,
        "n_materials": 40,
        "n_resamples": 100,
        "best": best,
        "chosen": best,
        "gain": {"measured": 0.1, "expected": 0.08, "interval95": [0.02, 0.12], "confidence": 0.99},
        "confidence_required": 0.95,
        "defaults": _side(0, study.proposal(0), complete[0]),
        "best_trial": _side(best, study.proposal(best), complete[best]),
        "importance": study.importance(),
        "trials": [
            {
                "number": number,
                "state": each.state,
                "values": study.proposal(number),
                "recall_at_1": max(each.recalls.values(), default=None),
                "recalls": {str(epoch): recall for epoch, recall in each.recalls.items()},
                "reason": each.reason,
            }
            for number, each in study.outcomes.items()
        ],
    }
    return study, found


@pytest.fixture(scope="module")
def made_up():
    return _made_up()


@pytest.fixture
def found(made_up):
    return dict(made_up[1])


def test_a_better_trial_is_named_with_its_values(found):
    assert verdict(found).startswith(f"Trial {found['best']} is better than the defaults: model.temperature = ")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"chosen": 0}, "is not better than chance"),
        ({"chosen": 0, "best": 0}, "no trial was better"),
        ({"gain": None}, "The defaults diverged"),
        ({"enabled": False}, "switched off"),
    ],
)
def test_the_other_verdicts(found, changes, expected):
    assert expected in verdict(found | changes)


def test_the_page_compares_defaults_and_best_on_both_splits(found):
    lines = document(found).splitlines()
    default, best = found["defaults"]["validation_recall_at_1"], found["best_trial"]["validation_recall_at_1"]

    assert f"| **validation recall@1, mean** | {default:.4f} | {best:.4f} | {best - default:+.4f} |" in lines
    assert f"| **test recall@1, mean** | {default - 0.01:.4f} | {best - 0.01:.4f} | {best - default:+.4f} |" in lines
    assert any("a gain in 99 % of them" in line for line in lines)


def test_the_page_lists_every_trial_and_why_it_failed(found):
    text = document(found)

    assert "6 of 8 trials finished, 1 were given up by" in text
    assert "| 6 | failed: the loss is nan | 0 | - |" in text
    assert "| 5 | pruned | 1 |" in text


def test_the_page_is_told_when_there_is_nothing(found):
    diverged = {**found["defaults"], "validation_recall_at_1": None, "test_recall_at_1": None}
    del diverged["validation_pairs"], diverged["test_pairs"]
    text = document(found | {"gain": None, "importance": {}, "defaults": diverged})

    assert "Too few trials finished to say." in text
    assert "There was nothing to compare." in text
    assert "| **test recall@1, mean** | - |" in text
    assert document({"enabled": False}) == f"# Tuning\n\n{verdict({'enabled': False})}\n"


def test_comments_say_where_the_values_come_from(found):
    told = comments(found)

    assert "crystal+text, 8 trials of 3 epochs, seed 0, study abc" in told
    assert "data 1234.dir" in told
    assert not [line for line in told if "\n" in line]
    assert yaml.safe_load("\n".join(f"# {line}" for line in told)) is None


def test_figures_are_numbers_by_name(found):
    told = figures(found)

    assert told["chosen_trial"] == found["chosen"]
    assert told["validation_recall_at_1.defaults"] == found["defaults"]["validation_recall_at_1"]
    assert told["gain.expected"] == 0.08
    assert all(isinstance(value, int | float) for value in told.values())


def test_figures_are_drawn(found, tmp_path):
    from matplotlib.image import imread

    drawn = draw(found, tmp_path)

    assert [path.name for path in drawn] == ["history.png", "importance.png", "slices.png"]
    for path in drawn:
        assert path.read_bytes().startswith(PNG)
        assert imread(path)[..., :3].std() > 0.02  # something is drawn


def test_figures_are_drawn_of_what_is_almost_nothing(found, tmp_path):
    alone = found | {"trials": found["trials"][:1], "best": 0, "chosen": 0, "importance": {}}

    assert all(path.stat().st_size > 1000 for path in draw(alone, tmp_path))


def test_the_page_to_point_at_needs_no_network(made_up, tmp_path):
    study, found = made_up
    page = write_page(found, study.finished(), tmp_path / "tuning.html").read_text()

    assert "Plotly.newPlot" in page
    assert page.count("<script") >= 5
    assert 'src="http' not in page
    assert "cdn.plot" not in page.split("Plotly.newPlot")[-1]


def test_the_same_tuning_gives_the_same_files(made_up, tmp_path):
    study, found = made_up
    for name in ("a", "b"):
        draw(found, tmp_path / name)
        write_page(found, study.finished(), tmp_path / name / "tuning.html")

    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
