from __future__ import annotations

import pytest

from matbind.base.errors import shown
from matbind.base.extras import missing


def _absent(name: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize(("module", "extra"), [("mlflow.artifacts", "mlops"), ("sklearn", "train")])
def test_a_library_of_an_extra_is_named_with_its_command(module: str, extra: str) -> None:
    library = module.partition(".")[0]
    expected = f"{library} is not installed, expected it for this: pip install 'matbind[{extra}]'"

    assert missing(_absent(module)) == expected


@pytest.mark.parametrize("error", [_absent("nobody_knows"), ValueError("mlflow"), ModuleNotFoundError("mlflow")])
def test_another_error_is_none_of_an_extra(error: Exception) -> None:
    assert missing(error) is None


def test_a_command_ends_with_the_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, shown():
        raise _absent("optuna")

    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "matbind: optuna is not installed, expected it for this: pip install 'matbind[mlops]'\n"
    )


def test_a_fault_of_the_code_keeps_its_traceback() -> None:
    with pytest.raises(ModuleNotFoundError), shown():
        raise _absent("nobody_knows")
