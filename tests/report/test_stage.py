from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from matbind.report import stage
from matbind.report.inputs import FILES
from matbind.report.stage import write_data, write_report
from matbind.report.template import asset
from tests.report import examples

FIGURES = {
    *("fig2_recall_at_1", "fig3_perovskite_overlap", "fig4_recall_at_5", "fig5_tsne", "fig6_pca", "fig7_pxrd_overlap"),
    *("contributions", "shapley", "worth_of_hub", "probes", "tsne_crystal_system", "fused", "robustness"),
    *("robustness_text", "gallery", "geometry", "failures", "failure_patterns"),
}
VOID = {"meta", "img", "br", "hr", "link", "input"}
WHY = {"unavailable": "the models <were> lost"}


class Page(HTMLParser):
    """Elements in order, and whether each is closed by its own tag."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = path.read_text()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._open: list[str] = []
        self.feed(self.text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def written(root: Path, out: Path, **options: Any) -> Page:
    inputs = examples.read(root, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "save_figure", examples.save)
        return Page(write_report(inputs, out=out, log=lambda _: None, workers=1))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    examples.write(root)
    (root / "reports").mkdir()
    written(root, root / "reports", runs_page="http://127.0.0.1:5000/#/experiments/1/runs/")
    return root / "reports"


@pytest.fixture(scope="module")
def page(out: Path) -> Page:
    return Page(out / "index.html")


def test_every_figure_is_there_as_png_svg_and_numbers(out: Path) -> None:
    names = {path.stem for path in (out / "figures").iterdir()}
    assert names == FIGURES
    for name in FIGURES:
        assert {".png", ".svg"} < {path.suffix for path in (out / "figures").glob(f"{name}.*")}


def test_every_figure_has_alternative_text_and_a_caption(page: Page) -> None:
    assert len(page.all("img")) == len(page.all("figcaption")) == len(page.all("figure")) == len(FIGURES)
    assert all(len(image["alt"]) > 60 for image in page.all("img"))
    assert re.findall(r"<figcaption>\s*</figcaption>", page.text) == []


def test_downloads_lead_to_files(page: Page, out: Path) -> None:
    links = [link["href"] for link in page.all("a") if "download" in link]
    assert len(links) == 3 * len(FIGURES)
    assert all((out / link).is_file() for link in links)


def test_the_page_needs_nothing_else(page: Page) -> None:
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", page.text))
    assert {address for address in addresses if not address.startswith("http://127.0.0.1:5000/")} == set()
    assert all(image["src"].startswith("data:image/") for image in page.all("img"))
    assert page.all("link") == []
    assert [script for script in page.all("script") if script] == []


def test_pictures_are_svg_or_png_whichever_is_smaller(page: Page, out: Path) -> None:
    for image, figure in zip(page.all("img"), page.all("figure"), strict=True):
        stem = figure["id"].removeprefix("figure-")
        sizes = {kind: (out / "figures" / f"{stem}.{kind}").stat().st_size for kind in ("png", "svg")}
        assert image["src"].startswith("data:image/svg" if sizes["svg"] < sizes["png"] else "data:image/png")


def test_headings_are_in_order(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_landmarks_and_language_are_named(page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert [len(page.all(tag)) for tag in ("main", "header", "footer", "nav")] == [1, 1, 1, 1]


def test_ids_are_unique_and_every_inner_link_arrives(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {link["href"][1:] for link in page.all("a") if link["href"].startswith("#")}
    referred = {attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes}
    assert targets | referred <= set(ids)


def test_heads_of_sortable_tables_are_buttons(page: Page) -> None:
    heads = [attributes for attributes in page.all("th") if attributes.get("scope") == "col"]
    assert len(heads) > 40
    assert len(re.findall(r'<th scope="col"[^>]*><button type="button">', page.text)) == len(heads)
    assert len(page.all("table")) == len([table for table in page.all("table") if table["class"] == "sortable"])


def test_what_scrolls_can_be_reached_by_the_keyboard(page: Page) -> None:
    boxes = [box for box in page.all("div") if box.get("class") in {"card", "scroll"}]
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)


def test_runs_lead_to_their_pages(page: Page) -> None:
    runs = [link["href"] for link in page.all("a") if "experiments" in link["href"]]
    assert runs == [f"http://127.0.0.1:5000/#/experiments/1/runs/{examples.RUN}"] * 15


def test_origin_is_shown(page: Page) -> None:
    for text in ("d740e79350d6fe4f.dir", "2d30d8f3ff17", "smoke", "the weights of the text encoder are not here"):
        assert text in page.text


def test_numbers_beside_a_figure_are_those_that_came_in(out: Path) -> None:
    with (out / "figures" / "fig2_recall_at_1.csv").open() as file:
        rows = {row["question"]: row for row in csv.DictReader(file)}
    content = examples.comparison()
    for name, entry in content["combinations"].items():
        for pair, result in entry["pairs"].items():
            row = rows[f"{name}: {pair}"]
            numbers = [float(row[key]) for key in ("n", "recall_at_1", "low", "high", "chance")]
            expected = [result["n"], result["recall_at_1"], *result["recall_at_1_ci95"], result["chance_at_1"]]
            assert numbers == expected
            assert row["run_id"] == examples.RUN
    assert len(rows) == 52 + 12


def test_curves_of_the_perovskites_are_kept(out: Path) -> None:
    content = json.loads((out / "figures" / "fig3_perovskite_overlap.json").read_text())
    assert (content["set"], content["sample"]) == ("abx3", "all")
    assert content["combinations"] == examples.perovskites()["results"]["abx3"]["all"]


def test_numbers_lead_to_their_runs(out: Path) -> None:
    with (out / "figures" / "contributions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["run_id_before"], row["run_id_after"]) for row in rows} == {(examples.RUN, examples.RUN)}
    content = json.loads((out / "figures" / "failure_patterns.json").read_text())
    assert content["run_ids"] == dict.fromkeys(examples.ALL, examples.RUN)


def test_the_paper_set_says_why_it_is_not_shown(page: Page) -> None:
    assert (
        "2 perovskites and 8 others are judged, expected at least 5 of each. The figures are of another set"
        in page.text
    )


def test_same_numbers_give_the_same_files(tmp_path: Path) -> None:
    root = examples.write(tmp_path / "project", ["crystal"], maps=None, perovskites=None)
    for name in ("a", "b"):
        written(root, tmp_path / name)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [f for f in files if (tmp_path / "a" / f).read_bytes() != (tmp_path / "b" / f).read_bytes()] == []


def test_if_no_question_is_answered_every_section_says_why(tmp_path: Path) -> None:
    names = ["crystal+dos"]
    root = examples.write(tmp_path / "project", names, **dict.fromkeys(FILES, WHY))
    page = written(root, tmp_path / "reports")
    drawn = {path.stem for path in (tmp_path / "reports" / "figures").iterdir()}
    assert drawn == {"fig2_recall_at_1", "fig4_recall_at_5"}
    assert page.text.count("<p>the models &lt;were&gt; lost") == len(FILES)
    assert "<were>" not in page.text


def test_a_figure_of_an_earlier_report_is_removed(tmp_path: Path) -> None:
    root = examples.write(tmp_path / "project", ["crystal"], **dict.fromkeys(FILES))
    old = tmp_path / "reports" / "figures" / "shapley.png"
    old.parent.mkdir(parents=True)
    old.touch()
    (tmp_path / "reports" / "comparison.md").touch()
    written(root, tmp_path / "reports")
    assert not old.exists()
    assert (tmp_path / "reports" / "comparison.md").exists()


def test_tuning_and_registry_are_shown(tmp_path: Path) -> None:
    root = examples.write(tmp_path / "project", ["crystal"], **dict.fromkeys(FILES))
    registry = {"models": {"crystal": {"name": "matbind-crystal", "version": 3, "digest": "", "run_id": None}}}
    text = written(root, tmp_path / "reports", tuning={"enabled": False}, registry=registry).text
    assert "Tuning is switched off: the settings are those of params.yaml." in text
    assert "matbind-crystal, version 3" in text


def test_the_page_holds_the_pictures_as_they_are_drawn(tmp_path: Path) -> None:
    inputs = examples.read(examples.write(tmp_path / "project", ["crystal"], **dict.fromkeys(FILES)))
    page = Page(write_report(inputs, out=tmp_path / "reports", log=lambda _: None, workers=1))
    png = tmp_path / "reports" / "figures" / "fig2_recall_at_1.png"
    height, width = imread(png).shape[:2]
    [image, _] = page.all("img")
    assert float(image["width"]) / float(image["height"]) == pytest.approx(width / height, rel=0.01)


def test_rows_are_written_with_all_their_columns(tmp_path: Path) -> None:
    path = write_data([{"a": 0.1, "b": None}, {"a": 1 / 3, "c": "x"}], tmp_path / "numbers")
    assert path.read_text() == "a,b,c\n0.1,,\n0.3333333333333333,,x\n"


def test_missing_combinations_are_drawn_as_far_as_they_go(tmp_path: Path) -> None:
    names = [name for name in examples.ALL if name not in {"dos", "crystal+pxrd", "crystal+dos+pxrd+text"}]
    page = written(examples.write(tmp_path / "project", names), tmp_path / "reports")
    assert {path.stem for path in (tmp_path / "reports" / "figures").iterdir()} == FIGURES - {"failure_patterns"}
    assert "only bounds can be given" in page.text
    assert "crystal+dos+pxrd+text and crystal+pxrd: it was not trained." in page.text


@pytest.mark.parametrize("selector", [":root {", ':root[data-theme="dark"] {'])
def test_text_stands_out_from_its_ground(selector: str) -> None:
    rule = asset("page.css").split(f"\n{selector}" if selector != ":root {" else selector, 1)[1].split("}", 1)[0]
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{3,6})", rule))
    for ink in ("ink", "soft", "accent"):
        for ground in ("page", "raised"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def contrast(ink: str, ground: str) -> float:
    """WCAG 2.1, contrast ratio."""
    light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance of #rrggbb."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
