from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from matbind.base.errors import UserError
from matbind.base.files import locked
from matbind.data.sources.materials_project import client, fetch
from matbind.data.sources.materials_project import download as module
from matbind.data.sources.materials_project.client import DOS_TABLE, FIELDS, PATIENCE
from matbind.data.sources.materials_project.download import Query, download, key_from_environment
from matbind.data.sources.read import read_tables
from tests.data.sources.materials_project.mp_server import KEY, VERSION, Fault, MaterialsProject, served, write_world

HASTY = PATIENCE.new(total=2, backoff_factor=0, backoff_jitter=0)
COUNTS = {"listed": 23, "structures": 23, "text": 18, "without text": 5, "dos": 15, "without dos": 8, "failed": 0}
TABLES = ("structures.parquet", "dos.parquet", "text.parquet", "failed.parquet")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MaterialsProject]:
    directory = tmp_path_factory.mktemp("materials-project")
    write_world(directory)
    with served(directory) as project:
        yield project


@pytest.fixture(scope="module")
def whole(running: MaterialsProject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A download that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "mp"
    running.reset()
    _download(out, running)
    return out


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture
def project(running: MaterialsProject) -> MaterialsProject:
    running.reset()
    return running


def _download(
    out: Path, project: MaterialsProject, query: Query | None = None, *, key: str = KEY, **options: Any
) -> dict[str, Any]:
    addresses = {"endpoint": project.endpoint, "dos_endpoint": project.endpoint}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MP_API_KEY", key)
        patch.setattr(client, "PATIENCE", HASTY)
        patch.setattr(fetch, "BATCH_SIZE", 5)
        patch.setattr(module, "PAGE_SIZE", 8)
        return download(out, query, **(addresses | {"log": lambda _: None} | options))


def _mp_api(project: MaterialsProject) -> Any:
    from mp_api.client import MPRester

    return MPRester(api_key=KEY, endpoint=project.endpoint, use_document_model=False, mute_progress_bars=True)


def _same(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in TABLES)


def test_structures_and_properties_are_as_the_server_has_them(whole: Path) -> None:
    table = pl.read_parquet(whole / "structures.parquet")

    assert table["material_id"].to_list()[:4] == ["mp-10", "mp-101", "mp-108", "mp-115"]
    assert table["material_id"].is_sorted()
    assert table.row(0, named=True) == {
        "material_id": "mp-10",
        "formula": "NaCl",
        "lattice": [0.0, 2.55, 2.55, 2.55, 0.0, 2.55, 2.55, 2.55, 0.0],
        "atomic_numbers": [11, 17],
        "frac_coords": [0.0, 0.0, 0.0, 0.5, 0.5, 0.5],
        "site_index": None,
        "occupancy": None,
        "band_gap": 0.25,
        "formation_energy_per_atom": -1.51,
        "e_above_hull": 0.01,
        "source": f"Materials Project {VERSION}",
    }


def test_a_density_of_states_is_the_sum_of_both_spins(whole: Path) -> None:
    rows = {row["material_id"]: row for row in pl.read_parquet(whole / "dos.parquet").iter_rows(named=True)}

    assert rows["mp-10"]["densities"] == [0.0, 2.0, 2.0, 0.5]  # not spin polarised
    assert rows["mp-59"]["densities"] == [0.0, 11.25, 2.5, 0.625]
    assert rows["mp-59"]["energies"] == [-2.0, -1.0, 0.5, 1.5]
    assert rows["mp-59"]["efermi"] == 1.0


def test_the_cell_of_a_density_of_states_is_that_of_its_own_calculation(whole: Path) -> None:
    atoms = dict(pl.read_parquet(whole / "dos.parquet").select("material_id", "n_atoms").iter_rows())

    assert atoms["mp-31"] == 4  # a double cell, where the structure has two sites
    assert atoms["mp-10"] == 2


def test_densities_are_those_that_mp_api_gives(whole: Path, project: MaterialsProject) -> None:
    rester = _mp_api(project).materials.electronic_structure_dos
    options = {"AWS_ENDPOINT_URL": project.endpoint, "AWS_ALLOW_HTTP": "true", "AWS_SKIP_SIGNATURE": "true"}
    rester.query_builder.register("total_dos", DeltaTable(DOS_TABLE, storage_options=options))
    rows = {row["material_id"]: row for row in pl.read_parquet(whole / "dos.parquet").iter_rows(named=True)}

    for name in ("mp-31", "mp-59"):
        expected = rester.get_dos_from_material_id(name)
        assert rows[name]["densities"] == pytest.approx(expected.get_densities())
        assert rows[name]["energies"] == pytest.approx(expected.energies)
        assert rows[name]["efermi"] == expected.efermi


def test_the_server_is_asked_what_mp_api_asks_it(project: MaterialsProject, tmp_path: Path) -> None:
    query = Query(
        elements=("Na", "Cl"),
        exclude_elements=("F",),
        chemsys=("Cl-Na",),
        formula=("NaCl",),
        max_sites=2,
        energy_above_hull=0.5,
        band_gap_ev=(0.5, 9.0),
        theoretical=False,
        only_with_dos=True,
    )
    _download(tmp_path / "mp", project, query)
    ours = [(path, parameters) for path, parameters, _ in project.asked() if path.startswith("/materials/")]
    names = pl.read_parquet(tmp_path / "mp" / "structures.parquet")["material_id"].to_list()[:5]

    project.reset()
    materials = _mp_api(project).materials
    shared: dict[str, Any] = {"all_fields": False, "num_chunks": 1}
    materials.summary.search(
        elements=["Cl", "Na"],
        exclude_elements=["F"],
        chemsys=["Cl-Na"],
        formula=["NaCl"],
        num_sites=(1, 2),
        energy_above_hull=(0.0, 0.5),
        band_gap=(0.5, 9.0),
        theoretical=False,
        deprecated=False,
        has_props=["dos"],
        include_gnome=False,
        fields=["material_id"],
        chunk_size=8,
        _page=1,
        _sort_fields="material_id",
        **shared,
    )
    materials.summary.search(material_ids=names, deprecated=False, fields=list(FIELDS), chunk_size=len(names), **shared)
    materials.robocrys.search_docs(
        material_ids=names, fields=["material_id", "description"], chunk_size=len(names), **shared
    )
    materials.electronic_structure.search(
        material_ids=names, fields=["material_id", "dos.task_id"], chunk_size=len(names), **shared
    )
    theirs = [(path, parameters) for path, parameters, _ in project.asked() if path.startswith("/materials/")]

    assert len(theirs) == 4
    assert [request for request in theirs if request not in ours] == []


def test_texts_are_those_of_the_server(whole: Path, project: MaterialsProject) -> None:
    names = pl.read_parquet(whole / "structures.parquet")["material_id"].to_list()
    documents = _mp_api(project).materials.robocrys.search_docs(
        material_ids=names, fields=["material_id", "description"]
    )
    table = pl.read_parquet(whole / "text.parquet")

    assert table["material_id"].is_sorted()
    assert dict(table.iter_rows()) == {str(document["material_id"]): document["description"] for document in documents}
    assert "Å" in table["text"][0]


def test_texts_need_no_more_requests_than_structures(project: MaterialsProject, tmp_path: Path) -> None:
    _download(tmp_path / "mp", project, with_dos=False)

    assert len([path for path, _, _ in project.asked() if path == "/materials/robocrys/"]) == 5  # 23 in batches of 5
    assert sorted(project.ids_asked("description")) == sorted(project.ids_asked())


@pytest.mark.parametrize(("text", "n_failed"), [(None, 0), ("", 0), (["a", "b"], 1)])
def test_a_text_that_is_none_is_no_failure_and_one_that_is_no_text_is_listed(
    project: MaterialsProject, tmp_path: Path, text: Any, n_failed: int
) -> None:
    project.describe("mp-10", text)

    source = _download(tmp_path / "mp", project, Query(limit=3), with_dos=False)

    assert source["counts"] == {"listed": 3, "structures": 3, "text": 2, "without text": 1, "failed": n_failed}
    failed = pl.read_parquet(tmp_path / "mp" / "failed.parquet")
    reason = "ValueError: the description is ['a', 'b'], expected a text"
    assert failed.rows() == [("mp-10", "text", reason)] * n_failed


def test_a_text_that_the_server_fails_on_is_listed_and_the_others_come(
    project: MaterialsProject, whole: Path, tmp_path: Path
) -> None:
    project.break_with(Fault("500", "robocrys", fits={"material_ids": "mp-108"}))
    source = _download(tmp_path / "mp", project)
    failed = pl.read_parquet(tmp_path / "mp" / "failed.parquet")

    assert (source["counts"]["structures"], source["counts"]["text"]) == (23, 17)
    assert failed.select("material_id", "modality").rows() == [("mp-108", "text")]

    project.reset()
    _download(tmp_path / "mp", project, retry_failed=True)
    assert (project.ids_asked(), project.ids_asked("description")) == ([], ["mp-108"])
    assert _same(tmp_path / "mp", whole)


def test_materials_without_density_of_states_are_no_failures(whole: Path) -> None:
    source = json.loads((whole / "source.json").read_text())

    assert source["counts"] == COUNTS
    assert source["complete"] is True


def test_the_source_is_stated(whole: Path) -> None:
    source = json.loads((whole / "source.json").read_text())

    assert source["database_version"] == VERSION
    assert source["licence"] == "CC BY 4.0"
    assert "APL Materials 1, 011002 (2013)" in source["citation"]
    assert source["query"] == Query().model_dump(mode="json")


def test_the_tables_are_read_like_any_others(whole: Path) -> None:
    tables = read_tables(whole)

    assert (len(tables.structures), len(tables.table("dos")), len(tables.table("text"))) == (23, 15, 18)


def test_nothing_is_left_beside_a_complete_download(whole: Path) -> None:
    assert [path.name for path in whole.parent.iterdir()] == [whole.name]


def test_a_finished_download_asks_the_server_for_nothing(whole: Path, project: MaterialsProject) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.iterdir()}

    assert _download(whole, project, key="")["counts"]["structures"] == 23
    assert project.asked() == []
    assert {path: path.stat().st_mtime_ns for path in whole.iterdir()} == before


def test_another_query_does_not_take_the_place_of_a_download(whole: Path, project: MaterialsProject) -> None:
    with pytest.raises(UserError, match=r'source\.json: it belongs to a download with query .*"elements": \["Li"\]'):
        _download(whole, project, Query(elements=("Li",)))


def test_a_directory_of_something_else_is_left_alone(project: MaterialsProject, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no source\.json"):
        _download(tmp_path, project)


@pytest.mark.parametrize("how", ["429", "500", "cut", "gzip", "garbage", "no list"])
def test_what_passes_is_tried_again(project: MaterialsProject, tmp_path: Path, how: str) -> None:
    lines: list[str] = []
    project.break_with(Fault(how, times=2))

    source = _download(tmp_path / "mp", project, Query(limit=2), with_dos=False, log=lines.append)

    assert source["counts"] == {"listed": 2, "structures": 2, "text": 2, "without text": 0, "failed": 0}
    attempts = [line.rpartition("; ")[2] for line in lines if "attempt" in line]
    assert attempts == ["attempt 2 of 3", "attempt 3 of 3"]


@pytest.mark.parametrize(
    ("how", "path"), [("503", "electronic_structure"), ("garbage", "robocrys"), ("gzip", "heartbeat")]
)
def test_every_route_is_tried_again(project: MaterialsProject, tmp_path: Path, how: str, path: str) -> None:
    project.break_with(Fault(how, path, times=2))

    source = _download(tmp_path / "mp", project, Query(limit=2))

    assert (source["counts"]["dos"], source["counts"]["text"], source["counts"]["failed"]) == (2, 2, 0)


def test_the_server_is_given_the_time_it_asks_for(
    project: MaterialsProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    project.break_with(Fault("429", times=1, retry_after="17"))

    _download(tmp_path / "mp", project, Query(limit=2), with_dos=False)

    assert pauses == [17]


def test_a_server_that_asks_to_slow_down_for_good_stops_the_download(
    project: MaterialsProject, whole: Path, tmp_path: Path
) -> None:
    project.break_with(Fault("429", after=5))
    with pytest.raises(UserError, match="asks to slow down"):
        _download(tmp_path / "mp", project)
    assert not (tmp_path / "mp").exists()

    project.break_with()
    _download(tmp_path / "mp", project)
    assert _same(tmp_path / "mp", whole)
    asked = project.ids_asked()
    assert len(asked) == 23 + 3 * 5  # the batch that was refused three times, and what was never asked for before
    assert len(set(asked)) == 23


def test_a_pause_of_an_hour_is_left_to_the_user(
    project: MaterialsProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("slept"))
    project.break_with(Fault("429", retry_after="3600"))

    with pytest.raises(UserError, match="call again later"):
        _download(tmp_path / "mp", project)


def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the Materials Project does not answer"):
        _download(tmp_path / "mp", MaterialsProject(port=9))


@pytest.mark.parametrize("status", ["401", "403"])
def test_a_refused_key_stops_the_download_at_once(project: MaterialsProject, tmp_path: Path, status: str) -> None:
    project.break_with(Fault(status))

    with pytest.raises(UserError, match=rf"refuses the API key \(HTTP {status}\)"):
        _download(tmp_path / "mp", project)
    assert len([path for path, _, _ in project.asked() if "summary" in path]) == 1


def test_a_wrong_key_is_refused_by_the_server(project: MaterialsProject, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="refuses the API key") as caught:
        _download(tmp_path / "mp", project, key="w" * 32)
    assert "wwww" not in str(caught.value)


def test_a_material_that_the_server_fails_on_is_listed_and_the_others_come(
    project: MaterialsProject, whole: Path, tmp_path: Path
) -> None:
    project.break_with(Fault("500", fits={"material_ids": "mp-108"}))

    source = _download(tmp_path / "mp", project)

    failed = pl.read_parquet(tmp_path / "mp" / "failed.parquet")
    assert failed.select("material_id", "modality").rows() == [("mp-108", "crystal")]
    assert "HTTP 500" in failed["reason"][0]
    assert source["counts"]["structures"] == 22
    assert source["complete"] is False

    project.reset()
    assert _download(tmp_path / "mp", project)["complete"] is False
    assert project.asked() == []
    assert _download(tmp_path / "mp", project, retry_failed=True)["complete"] is True
    assert project.ids_asked() == ["mp-108"]
    assert _same(tmp_path / "mp", whole)


def test_a_page_of_the_listing_that_fails_is_listed_and_asked_for_alone(
    project: MaterialsProject, whole: Path, tmp_path: Path
) -> None:
    project.break_with(Fault("cut", fits={"_page": "2"}))
    source = _download(tmp_path / "mp", project)
    failed = pl.read_parquet(tmp_path / "mp" / "failed.parquet")

    assert failed.select("material_id", "modality").rows() == [("page-00002", "listing")]
    assert source["counts"]["structures"] == 15

    project.reset()
    _download(tmp_path / "mp", project, retry_failed=True)
    assert [query["_page"] for _, query, _ in project.asked() if "_page" in query] == ["2"]
    assert len(project.ids_asked()) == 8
    assert _same(tmp_path / "mp", whole)


def test_a_first_page_that_fails_stops_the_download(project: MaterialsProject, tmp_path: Path) -> None:
    project.break_with(Fault("500", fits={"_page": "1"}))

    with pytest.raises(UserError, match="the materials cannot be listed"):
        _download(tmp_path / "mp", project)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"structure": {"@class": "Structure", "lattice": {}, "sites": []}}, "KeyError"),
        ({"structure": None}, "the document holds no structure"),
        ({"structure": "see elsewhere"}, "structure"),
        ({"band_gap": "wide"}, "band_gap is 'wide', expected a number"),
    ],
)
def test_a_malformed_document_is_listed(
    project: MaterialsProject, tmp_path: Path, values: dict[str, Any], reason: str
) -> None:
    project.change("mp-10", **values)

    source = _download(tmp_path / "mp", project, Query(limit=3), with_dos=False)

    failed = pl.read_parquet(tmp_path / "mp" / "failed.parquet")
    assert failed.select("material_id", "modality").rows() == [("mp-10", "crystal")]
    assert reason in failed["reason"][0]
    assert source["counts"]["structures"] == 2


def test_a_density_of_states_that_is_announced_but_missing_is_listed(project: MaterialsProject, tmp_path: Path) -> None:
    project.name_calculation("mp-10", "mp-77")

    source = _download(tmp_path / "mp", project, Query(limit=3))

    failed = pl.read_parquet(tmp_path / "mp" / "failed.parquet").row(0)
    assert failed == ("mp-10", "dos", "the table of densities of states has no calculation aaaaaacz")
    assert (source["counts"]["structures"], source["counts"]["dos"]) == (3, 1)


def test_a_density_of_states_of_another_compound_is_listed(project: MaterialsProject, tmp_path: Path) -> None:
    project.name_calculation("mp-10", "mp-1002")

    _download(tmp_path / "mp", project, Query(limit=3))

    failed = pl.read_parquet(tmp_path / "mp" / "failed.parquet").row(0)
    assert failed == ("mp-10", "dos", "ValueError: the density of states is of NaF, the material of NaCl")


@pytest.mark.parametrize("how", ["cut", "500"])
def test_a_torn_file_of_densities_is_read_again(
    project: MaterialsProject, whole: Path, tmp_path: Path, how: str
) -> None:
    project.break_with(Fault(how, "snappy.parquet", times=2))

    _download(tmp_path / "mp", project)

    assert _same(tmp_path / "mp", whole)


def test_without_the_store_of_densities_the_structures_are_kept(
    project: MaterialsProject, whole: Path, tmp_path: Path
) -> None:
    project.break_with(Fault("404", "materialsproject-parsed"))
    with pytest.raises(UserError, match="the densities of states cannot be read"):
        _download(tmp_path / "mp", project)

    project.reset()
    _download(tmp_path / "mp", project)
    assert _same(tmp_path / "mp", whole)


@pytest.mark.parametrize(
    ("field", "fault"),
    [("structure", Fault("hold", "summary", after=6)), ("description", Fault("hold", "robocrys", after=3))],
)
def test_a_download_killed_half_way_ends_with_the_same_tables(
    project: MaterialsProject, whole: Path, tmp_path: Path, field: str, fault: Fault
) -> None:
    project.break_with(fault)
    code = (
        "import sys, pathlib; from matbind.data.sources.materials_project import download, fetch\n"
        "fetch.BATCH_SIZE, download.PAGE_SIZE = 5, 8\n"
        "out, address = pathlib.Path(sys.argv[1]), sys.argv[2]\n"
        "download.download(out, endpoint=address, dos_endpoint=address, log=print)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "mp"), project.endpoint]
    with subprocess.Popen(command, env=os.environ | {"MP_API_KEY": KEY}) as child:
        while not project.is_holding():
            assert child.poll() is None
            time.sleep(0.05)
        child.kill()
    before = project.ids_asked(field)
    assert list((tmp_path / "mp.parts").rglob("part-*.parquet"))
    assert not (tmp_path / "mp").exists()

    project.reset()
    _download(tmp_path / "mp", project)

    assert _same(tmp_path / "mp", whole)
    assert len(set(before) - set(project.ids_asked(field))) == 15  # of 20, as the batch under way held five
    assert not [query for _, query, _ in project.asked() if "_page" in query]


def test_a_second_process_is_turned_away(project: MaterialsProject, tmp_path: Path) -> None:
    with locked(tmp_path / "mp.parts" / "lock", "download"), pytest.raises(UserError, match="another download of"):
        _download(tmp_path / "mp", project)


def test_two_database_versions_are_not_mixed(project: MaterialsProject, tmp_path: Path) -> None:
    project.break_with(Fault("429", after=5))
    with pytest.raises(UserError):
        _download(tmp_path / "mp", project)
    project.break_with()
    project.move_on("2026.09.01")

    with pytest.raises(UserError, match=r'database_version "2026\.04\.13", now it is "2026\.09\.01"'):
        _download(tmp_path / "mp", project)


def test_a_query_is_sent_to_the_server(project: MaterialsProject, tmp_path: Path) -> None:
    query = Query(elements=("Cl",), max_sites=2, energy_above_hull=0.1, band_gap_ev=(0.5, 9), only_with_dos=True)

    _download(tmp_path / "mp", project, query, with_dos=False)

    structures = pl.read_parquet(tmp_path / "mp" / "structures.parquet")
    assert structures["material_id"].to_list() == ["mp-38", "mp-52"]
    assert not (tmp_path / "mp" / "dos.parquet").exists()


def test_a_limit_takes_the_first_ids(project: MaterialsProject, tmp_path: Path) -> None:
    source = _download(tmp_path / "mp", project, Query(limit=10), with_dos=False)

    assert source["counts"]["structures"] == 10
    assert pl.read_parquet(tmp_path / "mp" / "structures.parquet")["material_id"].to_list()[-1] == "mp-157"


def test_ids_that_the_database_does_not_have_are_listed(project: MaterialsProject, tmp_path: Path) -> None:
    query = Query(material_ids=("mp-10", "mp-999", "mp-3"))

    source = _download(tmp_path / "mp", project, query, with_dos=False)

    assert source["counts"] == {"listed": 2, "structures": 2, "text": 2, "without text": 0, "failed": 1}
    failed = pl.read_parquet(tmp_path / "mp" / "failed.parquet").row(0)
    assert failed == ("mp-999", "crystal", f"database version {VERSION} has no such material, or it is deprecated")


def test_a_query_without_a_match_gives_empty_tables(project: MaterialsProject, tmp_path: Path) -> None:
    source = _download(tmp_path / "mp", project, Query(elements=("Xe",)))

    assert source["counts"] == dict.fromkeys(COUNTS, 0)
    assert read_tables(tmp_path / "mp").structures.is_empty()


def test_the_key_is_nowhere(
    project: MaterialsProject, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    lines: list[str] = []
    project.break_with(Fault("echo", fits={"material_ids": "mp-108"}))
    _download(tmp_path / "mp", project, Query(limit=5), log=lines.append)
    project.break_with(Fault("echo"))
    with pytest.raises(UserError) as caught:
        _download(tmp_path / "other", project, log=lines.append)

    outputs = [*lines, str(caught.value), caplog.text, *capfd.readouterr()]
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert "no luck with [key]" in pl.read_parquet(tmp_path / "mp" / "failed.parquet")["reason"][0]
    assert not [text for text in outputs if KEY in text]
    assert len(files) > 7
    assert not [content for content in files if KEY.encode() in content]


def test_the_key_goes_to_the_interface_alone(project: MaterialsProject, tmp_path: Path) -> None:
    _download(tmp_path / "mp", project, Query(limit=2))

    assert {key for path, _, key in project.asked() if path.startswith("/materials/")} == {KEY}
    assert {key for path, _, key in project.asked() if path.startswith("/materialsproject-parsed")} == {None}


def test_the_key_does_not_follow_to_another_address(project: MaterialsProject, tmp_path: Path) -> None:
    project.break_with(Fault("302", "electronic_structure"))

    _download(tmp_path / "mp", project, Query(limit=2))

    assert not [path for path, _, _ in project.asked() if "elsewhere" in path]
    reason = pl.read_parquet(tmp_path / "mp" / "failed.parquet")["reason"][0]
    assert reason.startswith("/materials/electronic_structure/: HTTP 302")


def test_the_key_does_not_travel_openly(project: MaterialsProject, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected an https address"):
        _download(tmp_path / "mp", project, endpoint="http://example.org/")


def test_the_key_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MP_API_KEY", KEY)

    assert key_from_environment() == KEY


def test_the_key_is_taken_from_the_settings_of_pymatgen(monkeypatch: pytest.MonkeyPatch) -> None:
    from pymatgen.core import SETTINGS

    monkeypatch.delenv("MP_API_KEY", raising=False)
    monkeypatch.delenv("PMG_MAPI_KEY", raising=False)
    monkeypatch.setitem(SETTINGS, "PMG_MAPI_KEY", KEY)

    assert key_from_environment() == KEY


def test_a_missing_key_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from pymatgen.core import SETTINGS

    monkeypatch.delenv("MP_API_KEY", raising=False)
    monkeypatch.delenv("PMG_MAPI_KEY", raising=False)
    monkeypatch.delitem(SETTINGS, "PMG_MAPI_KEY", raising=False)

    with pytest.raises(UserError, match=r"materialsproject\.org/api, copy your key, and type: export MP_API_KEY="):
        key_from_environment()


def test_a_malformed_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MP_API_KEY", "short-secret")

    with pytest.raises(UserError, match="has 12 characters") as caught:
        key_from_environment()
    assert "short-secret" not in str(caught.value)
