from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from matbind.base.errors import UserError
from matbind.data.validation.stage import validate
from matbind.data.validation.suites import suite_of
from matbind.modalities.records import Records
from matbind.modalities.table import modality_names

TABLES = ("structures", "dos", "pxrd", "text")


def quiet(message: str) -> None:
    pass


def edited(records: Path, to: Path, table: str, edit) -> Path:
    """A copy of a records directory with one table changed."""
    shutil.copytree(records, to)
    path = to / f"{table}.parquet"
    edit(pl.read_parquet(path)).write_parquet(path)
    return to


def blank_texts(n: int):
    return lambda frame: frame.with_columns(
        pl.when(pl.int_range(pl.len()) < n).then(pl.lit("")).otherwise("text").alias("text")
    )


@pytest.fixture
def run(tmp_path, settings, grid):
    def run_stage(records: Path, **changes):
        return validate(settings(**changes), records, tmp_path / "valid", tmp_path / "reports", log=quiet)

    return run_stage


def test_sound_records_pass_unchanged(run, few_records, tmp_path):
    document = run(few_records)
    assert document["passed"]
    for table in TABLES:
        assert pl.read_parquet(tmp_path / "valid" / f"{table}.parquet").equals(
            pl.read_parquet(few_records / f"{table}.parquet")
        )
    assert pl.read_parquet(tmp_path / "valid" / "quarantine.parquet").is_empty()


def test_a_bad_value_leaves_alone(run, few_records, tmp_path):
    records = edited(few_records, tmp_path / "records", "text", blank_texts(1))
    document = run(records, text={"max_quarantined_share": 0.1})
    name = pl.read_parquet(records / "text.parquet")["material_id"][0]
    left = Records(tmp_path / "valid")
    assert name in left.structures["material_id"]
    assert name in left.table("pxrd")["material_id"]
    assert name not in left.table("text")["material_id"]
    assert document["modalities"]["text"]["quarantined"] == 1


def test_a_bad_structure_takes_its_material_along(run, few_records, tmp_path):
    crush = (
        pl.when(pl.int_range(pl.len()) == 3).then(pl.col("lattice").list.eval(pl.element() * 0.1)).otherwise("lattice")
    )
    records = edited(
        few_records, tmp_path / "records", "structures", lambda frame: frame.with_columns(crush.alias("lattice"))
    )
    run(records, crystal={"max_quarantined_share": 0.1})
    name = pl.read_parquet(records / "structures.parquet")["material_id"][3]
    for table in TABLES:
        assert name not in pl.read_parquet(tmp_path / "valid" / f"{table}.parquet")["material_id"]
    lines = pl.read_parquet(tmp_path / "valid" / "quarantine.parquet").filter(pl.col("material_id") == name)
    assert set(lines.filter(pl.col("expectation") == "structure_valid")["modality"]) <= {"dos", "pxrd", "text"}
    assert lines.filter(pl.col("expectation") == "min_distance")["reason"][0].startswith("two atoms are 0.")


def test_above_the_allowed_share_the_stage_fails_and_names_the_expectation(run, few_records, tmp_path):
    records = edited(few_records, tmp_path / "records", "text", blank_texts(4))
    first = pl.read_parquet(records / "text.parquet")["material_id"][0]
    (tmp_path / "valid").mkdir()
    with pytest.raises(UserError) as refused:
        run(records)
    message = str(refused.value)
    assert (
        "text.parquet: 4 of 30 texts (13.3%) are bad, expected at most 2.0% (validate.text.max_quarantined_share)"
        in message
    )
    assert f"4 fail not_empty, the worst are {first} (number of letters: 0)" in message
    assert not (tmp_path / "valid").exists()
    assert not json.loads((tmp_path / "reports" / "validation.json").read_text())["passed"]


def test_rows_that_repeat_an_id_leave_and_the_rest_can_be_read(run, few_records, tmp_path):
    records = edited(few_records, tmp_path / "records", "dos", lambda frame: pl.concat([frame, frame.head(1)]))
    run(records, dos={"max_quarantined_share": 0.1})
    assert Records(tmp_path / "valid").table("dos").equals(Records(few_records).table("dos"))


def test_a_missing_modality_becomes_an_empty_table(run, few_records, tmp_path):
    shutil.copytree(few_records, tmp_path / "records")
    (tmp_path / "records" / "dos.parquet").unlink()
    document = run(tmp_path / "records")
    assert set(document["modalities"]) == {"crystal", "pxrd", "text"}
    assert Records(tmp_path / "valid").table("dos").is_empty()


def test_an_empty_modality_passes(run, few_records, tmp_path):
    records = edited(few_records, tmp_path / "records", "dos", lambda frame: frame.clear())
    assert run(records)["modalities"]["dos"]["values"] == 0


def test_other_files_and_columns_stay(run, few_records, tmp_path):
    records = edited(
        few_records, tmp_path / "records", "text", lambda frame: blank_texts(1)(frame).with_columns(note=pl.lit("kept"))
    )
    (records / "excluded.parquet").write_bytes(b"as it is")
    run(records, text={"max_quarantined_share": 0.1})
    assert (tmp_path / "valid" / "excluded.parquet").read_bytes() == b"as it is"
    assert pl.read_parquet(tmp_path / "valid" / "text.parquet")["note"].unique().to_list() == ["kept"]


def test_what_stood_there_is_replaced_whole(run, few_records, tmp_path):
    for leftover in ("valid", "valid.partial"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "old.txt").write_text("old")
    run(few_records)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reports", "valid"]
    assert not (tmp_path / "valid" / "old.txt").exists()


def test_records_without_a_split_are_refused(run, few_records, tmp_path):
    records = edited(few_records, tmp_path / "records", "structures", lambda frame: frame.drop("split"))
    with pytest.raises(UserError, match=r"structures.parquet: column split is missing"):
        run(records)


def test_records_without_structures_are_refused(run, few_records, tmp_path):
    records = edited(few_records, tmp_path / "records", "structures", lambda frame: frame.clear())
    with pytest.raises(UserError, match=r"structures.parquet: the table has no rows"):
        run(records)


class Links(HTMLParser):
    """Collects what a page refers to, and checks that its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.targets += [value for name, value in attrs if name in {"src", "href"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_no_network_and_escapes_what_it_shows(run, few_records, tmp_path):
    bad = pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("<b>&")).otherwise("formula").alias("formula")
    records = edited(few_records, tmp_path / "records", "structures", lambda frame: frame.with_columns(bad))
    run(records, crystal={"max_quarantined_share": 0.1})
    page = (tmp_path / "reports" / "index.html").read_text()
    links = Links()
    links.feed(page)
    assert links.open == []
    assert links.targets == ["../index.html", "#crystal", "#dos", "#pxrd", "#text"]
    assert "url(" not in page
    assert "&lt;b&gt;&amp;" in page
    assert "prefers-color-scheme: dark" in page


def test_the_page_shows_every_expectation_and_histogram_and_the_worst_offenders(run, few_records, tmp_path):
    records = edited(few_records, tmp_path / "records", "text", blank_texts(1))
    document = run(records, text={"max_quarantined_share": 0.1})
    page = (tmp_path / "reports" / "index.html").read_text()
    blocks = document["modalities"].values()
    assert all(f"<code>{e['name']}</code>" in page for block in blocks for e in block["expectations"])
    histograms = [histogram for block in blocks for histogram in block["histograms"]]
    assert page.count("<svg") == len(histograms) > 0
    assert page.count("<rect") == sum(count > 0 for histogram in histograms for count in histogram["counts"])
    assert "number of letters: 0" in page


def test_the_page_lists_equal_structures(run, few_records, tmp_path):
    def doubled(frame):
        return pl.concat([frame, frame.head(1).with_columns(material_id=pl.lit("copy"))])

    document = run(edited(few_records, tmp_path / "records", "structures", doubled))
    page = (tmp_path / "reports" / "index.html").read_text()
    assert (document["duplicates"]["groups"], document["duplicates"]["materials"]) == (1, 2)
    assert ", ".join(document["duplicates"]["largest"][0]["material_ids"]) in page


def test_the_report_counts_and_lists(run, few_records, tmp_path):
    records = edited(few_records, tmp_path / "records", "text", blank_texts(1))
    document = run(records, text={"max_quarantined_share": 0.1})
    assert document == json.loads((tmp_path / "reports" / "validation.json").read_text())
    block = document["modalities"]["text"]
    assert (block["values"], block["kept"], block["share"]) == (30, 29, pytest.approx(1 / 30))
    failed = next(e for e in block["expectations"] if e["name"] == "not_empty")
    assert (failed["checked"], failed["failed"], len(failed["worst"])) == (30, 1, 1)
    lengths = next(h for h in block["histograms"] if h["measure"] == "n_characters")
    assert sum(lengths["counts"]) == 30


@pytest.fixture
def run_with(tmp_path, settings, grid, few_records):
    """Run the stage on sound records with an expectation that a project adds to those of a modality."""

    def run_stage(name: str, expectation: dict, log=quiet, **changes):
        suites = tmp_path / "expectations"
        suites.mkdir()
        (suites / f"{name}.json").write_text(json.dumps({"expectations": [expectation]}))
        directories = (few_records, tmp_path / "valid", tmp_path / "reports")
        return validate(settings(**changes), *directories, expectations=suites, log=log)

    return run_stage


def test_what_a_project_expects_of_each_value_sets_aside(run_with, tmp_path):
    longer = {"type": "expect_column_value_lengths_to_be_between", "kwargs": {"column": "text", "min_value": 300}}
    run_with("text", longer, text={"max_quarantined_share": 1.0})
    texts, valid = (pl.read_parquet(tmp_path / "valid" / f"{name}.parquet") for name in ("text", "quarantine"))
    assert texts["text"].str.len_chars().min() >= 300
    assert valid["expectation"].unique().to_list() == ["expect_column_value_lengths_to_be_between"]
    assert valid["reason"][0].startswith("text is ")


def test_a_warning_is_told_and_sets_nothing_aside(run_with, few_records):
    lines = []
    mean = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "n_characters", "max_value": 1}}
    document = run_with("text", mean | {"severity": "warning", "meta": {"name": "short"}}, log=lines.append)
    assert document["passed"]
    assert any(line.startswith("text, warning: short is not met, found ") for line in lines)


def test_a_table_that_is_not_as_expected_stops_the_stage(run_with):
    sides = {"type": "expect_column_distinct_values_to_equal_set", "kwargs": {"column": "split", "value_set": ["a"]}}
    with pytest.raises(
        UserError, match=r"structures.parquet: expect_column_distinct_values_to_equal_set fails, found "
    ):
        run_with("crystal", sides)


def test_an_unknown_column_is_refused(run_with):
    with pytest.raises(
        UserError, match=r"text.json: expectation 1 \(expect_column_values_to_be_unique\) names the col"
    ):
        run_with("text", {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "words"}})


def test_data_docs_are_built_where_they_are_wanted(run, few_records, tmp_path):
    run(few_records, data_docs=True)
    pages = tmp_path / "reports/gx/uncommitted/data_docs/local_site"
    assert "crystal" in (pages / "index.html").read_text()
    assert len(list((pages / "validations").rglob("*.html"))) == len(TABLES)


def test_the_suites_of_this_project_can_be_read():
    suites = Path(__file__).parents[3] / "expectations"
    added = {name: [e for e in suite_of(name, suites) if e.of_project] for name in modality_names()}
    assert {path.stem for path in suites.iterdir()} == {name for name, expectations in added.items() if expectations}
