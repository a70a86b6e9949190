from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from matbind.cli import main as cli
from tests.data.sources.test_read import POSCAR


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr("sys.argv", ["matbind", "data", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_a_folder_becomes_tables(tmp_path: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/salt.vasp").write_text(POSCAR)
    (tmp_path / "in/broken.cif").write_text("no crystal")
    options = ("--params", str(project_root / "params.yaml"), "--workers", "1")

    assert _run(monkeypatch, "folder", str(tmp_path / "in"), str(tmp_path / "out"), *options) == 0

    assert pl.read_parquet(tmp_path / "out/structures.parquet")["material_id"].to_list() == ["salt"]
    assert pl.read_parquet(tmp_path / "out/excluded.parquet")["material_id"].to_list() == ["broken"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("materials-project", "OUT"), "no API key of the Materials Project found"),
        (("materials-project", "OUT", "--elements", "iron"), "query: elements holds 'iron'"),
        (("materials-project", "OUT", "--ids", "@ids.txt"), "ids.txt: the file does not exist, expected one id a line"),
        (("text", "OUT"), "structures.parquet: the file does not exist"),
        (("xtb", "OUT"), "structures.parquet: the file does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: tuple[str, ...],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("MP_API_KEY", "PMG_MAPI_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    assert _run(monkeypatch, *arguments) == 2

    stderr = capsys.readouterr().err
    assert sentence in stderr
    assert stderr.count("\n") == 1
