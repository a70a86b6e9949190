from __future__ import annotations

import pytest

from matbind.report.tuning import _history, _slices, document, draw, write_page, write_tuning
from matbind.training.tuning.result import verdict
from tests.training.tuning.tuning import made_up_result

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def made_up():
    return made_up_result()


@pytest.fixture
def result(made_up):
    return dict(made_up[1])


def test_the_page_compares_start_and_best_on_both_splits(result):
    lines = document(result).splitlines()
    start, best = result["start"]["validation_recall_at_1"], result["best_trial"]["validation_recall_at_1"]

    assert f"| **validation recall@1, mean** | {start:.4f} | {best:.4f} | {best - start:+.4f} |" in lines
    assert f"| **test recall@1, mean** | {start - 0.01:.4f} | {best - 0.01:.4f} | {best - start:+.4f} |" in lines
    assert any("a gain in 99 % of them" in line for line in lines)


def test_the_page_lists_every_trial_and_why_it_failed(result):
    text = document(result)

    assert "6 of 8 trials finished, 1 were given up by" in text
    assert "| 6 | failed: the loss is nan | 0 | - |" in text
    assert "| 5 | pruned | 1 |" in text


def test_the_page_is_told_when_there_is_nothing(result):
    diverged = {**result["start"], "validation_recall_at_1": None, "test_recall_at_1": None}
    del diverged["validation_pairs"], diverged["test_pairs"]
    text = document(result | {"gain": None, "importance": {}, "start": diverged})

    assert "Too few trials finished to say." in text
    assert "There was nothing to compare." in text
    assert "| **test recall@1, mean** | - |" in text
    assert document({"enabled": False}) == f"# Tuning\n\n{verdict({'enabled': False})}\n"


def test_all_files_are_written(made_up, tmp_path):
    from matplotlib.image import imread

    study, result = made_up
    paths = write_tuning(result, study.finished(), tmp_path / "tuning")

    names = ["history.png", "importance.png", "slices.png", "tuning.html", "tuning.md"]
    assert sorted(path.name for path in paths) == names
    assert sorted(path.name for path in (tmp_path / "tuning").iterdir()) == names
    for path in (tmp_path / "tuning").glob("*.png"):
        assert path.read_bytes().startswith(PNG)
        assert imread(path)[..., :3].std() > 0.02  # something is drawn


def test_figures_say_how_many_trials_finished(made_up):
    study, result = made_up

    title = _history(result, study.finished()).axes[0].get_title()
    assert title == "Recall by trial (6 of 8 trials finished)"


def test_slices_ring_the_start_and_the_best(made_up):
    study, result = made_up
    axes = _slices(result, study.finished()).axes[0]

    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["start", "best"]


@pytest.mark.filterwarnings("ignore:Attempting to set identical")
def test_figures_are_drawn_of_what_is_almost_nothing(made_up, tmp_path):
    study, result = made_up
    alone = result | {"trials": result["trials"][:1], "best": 0, "chosen": 0, "importance": {}}
    one = study._in_memory(study.finished().trials[:1])

    assert all(path.stat().st_size > 1000 for path in draw(alone, one, tmp_path))


def test_no_style_of_the_library_is_changed(made_up, tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    draw(made_up[1], made_up[0].finished(), tmp_path)

    assert {key: value for key, value in mpl.rcParams.items() if value != before[key]} == {}


def test_the_page_to_point_at_needs_no_network(made_up, tmp_path):
    study, result = made_up
    page = write_page(result, study.finished(), tmp_path / "tuning.html").read_text()

    assert "Plotly.newPlot" in page
    assert page.count("<script") >= 5
    assert 'src="http' not in page
    assert "cdn.plot" not in page.split("Plotly.newPlot")[-1]


def test_the_same_tuning_gives_the_same_files(made_up, tmp_path):
    study, result = made_up
    for name in ("a", "b"):
        draw(result, study.finished(), tmp_path / name)
        write_page(result, study.finished(), tmp_path / name / "tuning.html")

    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
