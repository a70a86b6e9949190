from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from matbind.base.errors import UserError
from matbind.modalities.recognition import modality_of
from matbind.registry.registry import Registry
from matbind.search.search import Reading, load_model, search
from matbind.serving.searcher import Options
from tests.factories import needs_sample, real_features
from tests.registry.registered import register, registry_in
from tests.serving.trained import EVERYTHING, GRID_DEG, dos_json, intensity, pattern_json, query, trained, with_dos

pytestmark = needs_sample
MODEL = "matbind-crystal-dos-pxrd-text@challenger"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in whose store a model is registered, and whose models and features are at hand."""
    project = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        register(registry_in(project))
    (project / "models").symlink_to(trained().models)
    (project / "artifacts").mkdir()
    (project / "artifacts" / "features").symlink_to(real_features())
    return project


@pytest.fixture(autouse=True)
def _default_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """One material with all modalities, as people hold them in files."""
    material = with_dos()
    rows = zip(GRID_DEG[1000:6000], 1000 * intensity(material)[1000:6000], strict=True)
    lines = "\n".join(f"{angle:.3f} {height:.3f}" for angle, height in rows)
    content = {
        "s.cif": material.structure.to_pymatgen().to(fmt="cif"),
        "POSCAR": material.structure.to_pymatgen().to(fmt="poscar"),
        "p.xy": f"# Wavelength = 1.54184\n{lines}",
        "bare.xy": lines,
        "p.json": pattern_json(intensity(material)),
        "d.json": dos_json(material),
        "t.txt": query(material, "text")["text"],
    }
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    return {name: tmp_path / name for name in content}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s.cif", "crystal"),
        ("POSCAR", "crystal"),
        ("p.xy", "pxrd"),
        ("p.json", "pxrd"),
        ("d.json", "dos"),
        ("t.txt", "text"),
    ],
)
def test_the_kind_of_a_file_is_told(name: str, expected: str, files: dict[str, Path]) -> None:
    assert modality_of(files[name]) == expected


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.csv", "two theta (deg),intensity\n10,1\n11,2\n12,3\n", "pxrd"),
        ("x.csv", "energy (eV),dos\n-1,1\n0,2\n1,3\n", "dos"),
        ("x.dat", "10 1\n11 2\n12 3\n", "pxrd"),
    ],
)
def test_columns_are_told_by_their_header(name: str, content: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)

    assert modality_of(tmp_path / name) == expected


def test_an_unknown_kind_of_file_is_refused_with_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "x.docx").write_text("x")

    with pytest.raises(
        UserError, match=r"x\.docx: what it holds cannot be told from its name, expected one of these endings"
    ):
        modality_of(tmp_path / "x.docx")


def test_files_are_answered_one_by_one_past_bad_ones(root: Path, files: dict[str, Path], tmp_path: Path) -> None:
    asked = [files["s.cif"], tmp_path / "none.cif", files["bare.xy"], files["p.xy"], files["d.json"], files["t.txt"]]

    answers = search(asked, model=MODEL, options=Options(k=3), root=root)

    assert [answer.get("error") is None for answer in answers] == [True, False, False, True, True, True]
    assert answers[0]["nearest"][0]["similarity"] == pytest.approx(1.0, abs=1e-3)
    assert answers[1]["error"].endswith("none.cif: the file does not exist, expected a file to search with")
    assert "the file names no wavelength" in answers[2]["error"]
    assert "wavelength 1.54184 A from the file" in answers[3]["notes"][0]
    assert answers[0]["model"] == "matbind-crystal-dos-pxrd-text/1"
    assert json.loads(json.dumps(answers, allow_nan=False)) == answers


def test_the_wavelength_of_a_bare_file_is_given(root: Path, files: dict[str, Path]) -> None:
    reading = Reading(wavelength="CuKa")

    [bare] = search([files["bare.xy"]], model=MODEL, reading=reading, root=root)
    [complete] = search([files["p.xy"]], model=MODEL, root=root)

    assert bare["nearest"] == complete["nearest"]


def test_several_files_make_one_query(root: Path, files: dict[str, Path]) -> None:
    [answer] = search([files["p.json"], files["t.txt"]], model=MODEL, together=True, root=root)

    assert answer["error"] is None
    assert answer["query"] == [str(files["p.json"]), str(files["t.txt"])]


def test_two_files_of_one_kind_are_no_query(root: Path, files: dict[str, Path]) -> None:
    [answer] = search([files["p.json"], files["p.xy"]], model=MODEL, together=True, root=root)

    assert answer["error"].endswith("p.xy: a second pxrd in one query, expected each modality once")


def test_what_a_file_holds_can_be_said(root: Path, files: dict[str, Path]) -> None:
    [answer] = search([files["t.txt"]], model=MODEL, reading=Reading(modality="dos"), root=root)

    assert answer["error"].startswith(str(files["t.txt"]))


def test_a_dos_has_to_say_whose_cell_it_counts(root: Path, tmp_path: Path) -> None:
    energies = np.linspace(-5, 5, 50).round(3)
    path = tmp_path / "d.csv"
    path.write_text("energy - efermi (eV), dos\n" + "\n".join(f"{e}, {max(0.0, -e)}" for e in energies))

    [missing] = search([path], model=MODEL, root=root)
    [given] = search([path], model=MODEL, reading=Reading(n_atoms=4), root=root)

    assert "how many atoms its cell has, expected n_atoms in the file, or --atoms" in missing["error"]
    assert given["error"] is None


def test_elements_are_filtered(root: Path, files: dict[str, Path]) -> None:
    [answer] = search([files["t.txt"]], model=MODEL, options=Options(contains=("O",)), root=root)

    assert all("O" in hit["formula"] for hit in answer["nearest"])


def test_a_model_that_is_not_registered_searches_too(root: Path, files: dict[str, Path]) -> None:
    [registered] = search([files["t.txt"]], model=MODEL, root=root)
    [trained_only] = search([files["t.txt"]], model=f"models/{EVERYTHING}", root=root)

    assert trained_only["model"] == f"models/{EVERYTHING}"
    assert trained_only["nearest"] == registered["nearest"]


def test_an_unknown_model_is_said_with_those_that_are_there(root: Path) -> None:
    with pytest.raises(
        UserError, match=r"there is no registered model crystal, expected one of matbind-crystal-dos-pxrd-text$"
    ):
        load_model("crystal", root=root)


def test_a_misspelt_model_is_said_with_the_one_that_was_meant(root: Path) -> None:
    with pytest.raises(UserError, match=r"pxdr\+text \(did you mean crystal\+dos\+pxrd\+text\?\), expected"):
        load_model("crystal+dos+pxdr+text", root=root)


def test_where_nothing_is_registered_the_way_there_is_said(tmp_path: Path) -> None:
    registry_in(tmp_path)

    with pytest.raises(UserError, match=r"no registered model crystal\+dos, none is registered yet: make run"):
        load_model("crystal+dos", root=tmp_path)


def test_outside_a_project_nothing_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mlflow\.db: the store of models and runs does not exist, expected the"):
        load_model("crystal+pxrd", root=tmp_path)

    assert not list(tmp_path.iterdir())


def test_a_directory_is_called_one(root: Path, tmp_path: Path) -> None:
    [answer] = search([tmp_path], model=MODEL, root=root)

    assert answer["error"] == f"{tmp_path}: this is a directory, expected a file to search with"


def test_a_wavelength_that_is_none_is_refused_though_the_file_names_one(root: Path, files: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"^--wavelength: the wavelength 'copper' is unknown, expected angstrom"):
        search([files["p.xy"]], model=MODEL, reading=Reading(wavelength="copper"), root=root)


def test_what_is_wrong_with_a_query_names_its_file(root: Path, files: dict[str, Path]) -> None:
    [answer] = search([files["s.cif"]], model=MODEL, options=Options(key="nothing"), root=root)

    assert answer["error"].startswith(f"{files['s.cif']}: key is 'nothing', expected one of crystal")


def test_a_typed_description_is_answered_as_one_in_a_file(root: Path, files: dict[str, Path]) -> None:
    text = files["t.txt"].read_text()

    [typed] = search([], typed={"text": text}, model=MODEL, root=root)
    [read] = search([files["t.txt"]], model=MODEL, root=root)

    assert typed["query"] == [text]
    assert typed["nearest"] == read["nearest"]


def test_a_typed_description_is_a_query_together_with_a_file(root: Path, files: dict[str, Path]) -> None:
    text = "a cubic thing"

    [answer] = search([files["p.json"]], typed={"text": text}, model=MODEL, together=True, root=root)

    assert answer["error"] is None
    assert answer["query"] == [str(files["p.json"]), text]
    assert f"{text}: no formula was read in it, so the answer rests on its words" in answer["notes"]


def test_a_downloaded_model_is_searched_as_the_registered_one(
    root: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    registry = Registry(root)
    shutil.copytree(registry.fetch(registry.resolve(MODEL).model_id, "artifacts"), tmp_path / "copy" / "artifacts")

    [registered] = search([files["s.cif"]], model=MODEL, root=root)
    [downloaded] = search([files["s.cif"]], model="copy", root=tmp_path)

    assert downloaded | {"model": registered["model"]} == registered


def test_a_downloaded_model_is_searched_without_what_only_the_pipeline_needs(
    root: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    registry = Registry(root)
    (tmp_path / "model").symlink_to(registry.fetch(registry.resolve(MODEL).model_id, "artifacts/model"))
    without = "import sys; sys.modules.update(dict.fromkeys({}))\nfrom matbind.cli.main import main; main()"
    absent = ["dvc", "great_expectations", "mlflow", "optuna", "prefect", "pyarrow", "sklearn", "sqlalchemy"]
    command = [sys.executable, "-c", without.format(absent), "search", "--json", "--k", "1"]

    found = subprocess.run(
        [*command, "--model", "model", *(str(files[name]) for name in ("s.cif", "p.xy", "t.txt"))],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert [answer["error"] for answer in json.loads(found.stdout)] == [None] * 3


def test_a_registered_model_of_this_machine_is_searched_without_mlflow(root: Path, files: dict[str, Path]) -> None:
    without = "import sys; sys.modules['mlflow'] = None\nfrom matbind.cli.main import main; main()"
    command = [sys.executable, "-c", without, "search", "--json", "--model", MODEL, str(files["d.json"])]

    answered = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)

    assert json.loads(answered.stdout)[0]["error"] is None


def test_a_registered_model_of_a_server_needs_mlflow(root: Path, files: dict[str, Path]) -> None:
    without = "import sys; sys.modules['mlflow'] = None\nfrom matbind.cli.main import main; main()"
    command = [sys.executable, "-c", without, "search", "--model", MODEL, str(files["d.json"])]
    server = os.environ | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}

    refused = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root, env=server)

    assert refused.returncode == 2
    assert refused.stderr.endswith("is not installed, expected it for this: pip install 'matbind[mlops]'\n")
