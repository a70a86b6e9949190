from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from matbind import __version__
from matbind.base.files import write_json
from matbind.cli import main as cli


@pytest.fixture
def project(project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the project's settings and nothing else, to run in."""
    (tmp_path / "params.yaml").write_text((project_root / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["matbind", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def _edit(project: Path, pattern: str, replacement: str) -> None:
    path = project / "params.yaml"
    text, count = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1
    path.write_text(text)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ((r"^model:", "model:\n  temprature: 0.1"), "unknown key model.temprature"),
        ((r"^  temperature: \S+", "  temperature: -1"), "model.temperature is -1"),
        ((r"^hub_order: .*", "hub_order: [crystal, text, xrd, dos]"), "hub_order names the unknown modality 'xrd'"),
        ((r"^preset: \w+", "preset: large"), "preset is 'large'"),
        ((r"^  combinations: .*", "  combinations: [crystal+xrd]"), "unknown modality 'xrd'"),
        ((r"^seed: .*", "seed: ["), "this is not valid YAML"),
    ],
)
def test_a_mistake_in_the_settings_is_one_sentence(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    edit: tuple[str, str],
    sentence: str,
) -> None:
    _edit(project, *edit)

    assert _run(monkeypatch, "settings") == 2

    error = capsys.readouterr().err
    assert error.startswith("matbind: params.yaml")
    assert sentence in error
    assert error.count("\n") == 1


def test_missing_settings_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert _run(monkeypatch, "settings") == 2
    assert capsys.readouterr().err.startswith("matbind: params.yaml: the file does not exist")


@pytest.mark.usefixtures("project")
def test_an_unknown_combination_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(monkeypatch, "train", "crystal+xrd") == 2

    expected = "matbind: combination 'crystal+xrd': unknown modality 'xrd'; allowed: crystal, dos, pxrd, text\n"
    assert capsys.readouterr().err == expected


@pytest.mark.usefixtures("project")
def test_a_promotion_that_says_not_where_to_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, "promote", "crystal+pxrd") == 2

    expected = "matbind: --to is missing, expected one of staging, production, archived, or --rollback\n"
    assert capsys.readouterr().err == expected


@pytest.mark.usefixtures("project")
def test_training_without_features_says_what_to_run_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///dev/null/nowhere")

    assert _run(monkeypatch, "train", "dos") == 2

    error = capsys.readouterr().err
    assert "run the featurize stage first" in error
    assert "Traceback" not in error


@pytest.mark.usefixtures("project")
def test_combinations_are_listed_with_their_pairs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, "combinations") == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 16
    assert lines[12].split("  ")[0] == "crystal+dos+text"
    assert "crystal-dos crystal-text" in lines[12]
    assert lines[12].endswith("dos-text")


@pytest.mark.usefixtures("project")
def test_a_preset_of_the_command_line_is_laid_over_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, "settings", "--preset", "smoke") == 0

    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["preset"] == "smoke"
    assert rows["prepare.limit"] == "150"


@pytest.mark.usefixtures("project")
def test_parameters_add_up(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(monkeypatch, "model", "--preset", "smoke") == 0

    counts = [int(line.split()[-1].replace(",", "")) for line in capsys.readouterr().out.splitlines()[1:]]
    assert counts[-1] == sum(counts[:-1]) > 0


def test_status_tells_done_failed_and_missing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = {"dos->crystal": {"kind": "aligned", "recall_at_1": 0.25, "recall_at_5": 0.5}}
    write_json(project / "metrics/combinations/crystal+dos.json", {"combination": "crystal+dos", "pairs": pairs})
    write_json(project / "metrics/combinations/dos.json", {"combination": "dos", "error": "its process was ended"})

    assert _run(monkeypatch, "status") == 0

    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert rows["crystal+dos"] == ["done", "0.250", "-", "-"]
    assert rows["dos"] == ["failed", "-", "-", "-", "its", "process", "was", "ended"]
    assert rows["text"] == ["-", "-", "-", "-"]


def test_status_names_what_the_settings_leave_out_and_not_as_missing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _edit(project, r"^  combinations: .*", "  combinations: [dos+crystal, text]")

    assert _run(monkeypatch, "status") == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:16] if "left out" not in line] == ["text", "crystal+dos"]
    assert lines[16].startswith("params.yaml: ablate.combinations leaves 13 out; what was trained of them is kept")


@pytest.mark.usefixtures("project")
def test_status_before_any_training_says_what_to_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, "status") == 0

    assert capsys.readouterr().out.splitlines()[-1] == "nothing is trained yet: make run"


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["models"], ["promote", "text", "--to", "staging"], ["provenance", "matbind-text@champion"]],
)
def test_outside_a_project_a_command_says_so_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)

    assert _run(monkeypatch, *arguments) == 2

    assert "does not exist, expected the " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["model", "settings"])
def test_another_preset_is_looked_at_without_what_was_tuned(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (project / "tuned.yaml").write_text("preset: small\nstart: {model.projection_dim: 128}\nmodel.projection_dim: 64\n")

    assert _run(monkeypatch, command) == 0
    tuned = capsys.readouterr().out
    assert _run(monkeypatch, command, "--preset", "smoke") == 0
    other = capsys.readouterr().out
    (project / "tuned.yaml").unlink()
    assert _run(monkeypatch, command, "--preset", "smoke") == 0

    assert capsys.readouterr().out == other
    assert _run(monkeypatch, command) == 0
    assert capsys.readouterr().out != tuned


def test_the_version_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(monkeypatch, "--version") == 0

    assert capsys.readouterr().out == f"matbind {__version__}\n"


def test_every_help_ends_with_examples_that_the_command_line_understands() -> None:
    root = typer.main.get_command(cli.app)
    pages = {"matbind": root, **_commands(root, "matbind")}

    for name, command in pages.items():
        lines = (command.epilog or "").splitlines()
        assert lines[:2] == ["\b", "Examples:"], name
        for line in lines[2:]:
            words = shlex.split(line.partition(" > ")[0])
            if words[0] == "matbind":
                assert line.strip().startswith(name)
                _understood(root, words[1:])


def _commands(group: Any, name: str) -> dict[str, Any]:
    commands = {}
    for called, command in group.commands.items():
        commands[f"{name} {called}"] = command
        if hasattr(command, "commands"):
            commands |= _commands(command, f"{name} {called}")
    return commands


def _understood(group: Any, words: list[str]) -> None:
    """Parse the words of a command without running it; a wrong option raises."""
    command = group
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    command.make_context(words[0] if words else "", list(words))


def test_help_costs_no_heavy_import() -> None:
    code = "import sys, matbind.cli; print(sorted({'torch', 'mlflow', 'prefect', 'pydantic'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_a_port_in_use_is_refused_before_a_page_is_announced(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert _run(monkeypatch, "ui", "--port", str(port)) == 2

    output = capsys.readouterr()
    assert f"--port {port}: something is served on it already, expected a free one" in output.err
    assert output.out == ""
    assert not (project / "mlflow.db").exists()
