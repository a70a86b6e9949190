"""The files of a registered model, loaded by MLflow as a user loads them: without the source tree, over JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from matbind.registry.files import save_files
from matbind.serving.searcher import FIELDS
from tests.cache import lend_kernels
from tests.factories import needs_sample
from tests.serving.trained import bundle, intensity, pattern_json, query, test_materials, trained, with_dos

pytestmark = needs_sample
# Site packages without their .pth files: an editable install is one of those.
ELSEWHERE = """
import sys
sys.path.append({packages!r})
import importlib.util
assert importlib.util.find_spec("matbind") is None, "the source tree can be imported"
import json, mlflow.pyfunc, pandas as pd
model = mlflow.pyfunc.load_model({path!r})
answers = model.predict(pd.DataFrame(json.load(open({queries!r}))), params={{"return": "both", "k": 3}})
import matbind
print(json.dumps({{"code": matbind.__file__, "answers": json.loads(answers.to_json(orient="records"))}}))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "files"
    save_files(trained().combination, bundle(), out, model_id="m-1", run_id=None)
    return out


@pytest.fixture(scope="module")
def model(files: Path) -> Iterator[Any]:
    import mlflow.pyfunc

    before = list(sys.path)
    yield mlflow.pyfunc.load_model(str(files))
    os.environ.pop("NUMBA_CACHE_DIR", None)  # the model's script set it: a user's cache
    sys.path[:] = before  # the code that a model carries stays on it, and processes of other tests would find that


def test_it_answers_where_the_source_tree_is_not(files: Path, tmp_path: Path) -> None:
    material = with_dos()
    row = test_materials().index(material)
    names = ("crystal", "dos", "pxrd", "text")
    lend_kernels(files / "code" / "matbind", tmp_path / ".cache" / "matbind" / "numba")
    (tmp_path / "queries.json").write_text(json.dumps([query(material, name) for name in names]))
    code = ELSEWHERE.format(
        packages=sysconfig.get_path("purelib"), path=str(files), queries=str(tmp_path / "queries.json")
    )

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    output = json.loads(done.stdout)
    assert output["code"] == str(files / "code" / "matbind" / "__init__.py")
    stored = trained().test_embeddings
    for name, answer in zip(names, output["answers"], strict=True):
        np.testing.assert_allclose(answer["embedding"], stored[name][row], atol=1e-5)
    assert not list(files.rglob("*.nb?")), "compiled code was kept in the files of the model"


def test_nothing_is_pickled(files: Path) -> None:
    names = [path for path in files.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]

    assert {path.suffix for path in names} <= {"", ".py", ".json", ".yaml", ".txt", ".safetensors", ".parquet"}
    assert not [path for path in names if path.read_bytes()[:2] in {b"\x80\x03", b"\x80\x04", b"\x80\x05"}]


def test_no_path_of_this_machine_is_in_it(files: Path) -> None:
    texts = [path.read_text() for path in files.rglob("*") if path.suffix in {".json", ".yaml", ".txt"}]
    texts.append((files / "MLmodel").read_text())

    local_paths = (str(Path(__file__).parents[2]), tempfile.gettempdir())
    assert not [text for text in texts for path in local_paths if path in text]


def test_every_column_may_be_left_out(model: Any) -> None:
    answers = model.predict(pd.DataFrame([{"text": "NaCl is Halite structured."}]))

    assert list(answers.columns) == list(FIELDS)
    assert answers["error"][0] is None
    assert len(answers["nearest"][0]) == 10


def test_unknown_columns_are_refused_with_those_that_are_known(model: Any) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=r"no column that was sent is known .* one of cif") as error:
        model.predict(pd.DataFrame([{"txet": "NaCl is Halite structured."}]))

    assert error.value.get_http_status_code() == 400


def test_a_row_of_unknown_columns_beside_a_good_one_says_so(model: Any) -> None:
    answers = model.predict(pd.DataFrame([{"text": "NaCl is Halite structured."}, {"txet": "NaCl"}]))

    assert answers["error"][0] is None
    assert answers["error"][1].startswith("the query is empty, expected at least one of cif")


def test_one_bad_row_stops_no_other(model: Any) -> None:
    good = pattern_json(intensity(test_materials()[0]))
    bad = pattern_json(intensity(test_materials()[0]), wavelength_angstrom=None)

    answers = model.predict(pd.DataFrame([{"pxrd": bad}, {"pxrd": good}, {"text": " "}]))

    assert answers["error"][0].startswith("pxrd: the wavelength is missing and is never guessed")
    assert answers["error"][1] is None
    assert answers["error"][2].startswith("the query is empty")
    assert answers["nearest"][1]


def test_parameters_are_taken(model: Any) -> None:
    params = {"k": 2, "key": "pxrd", "contains": "O", "without": "Ba, Ti"}

    nearest = model.predict(pd.DataFrame([{"text": "NaCl is Halite structured."}]), params=params)["nearest"][0]

    assert len(nearest) == 2
    assert all("O" in hit["formula"] and "Ba" not in hit["formula"] for hit in nearest)


def test_a_parameter_out_of_range_is_an_error_of_every_row(model: Any) -> None:
    answers = model.predict(pd.DataFrame([{"text": "NaCl is Halite structured."}] * 2), params={"k": 0})

    assert list(answers["error"]) == ["k is 0, expected 1 to 1000"] * 2


def test_the_input_example_is_answered(model: Any) -> None:
    assert model.predict(model.input_example)["error"][0] is None


def test_a_served_answer_is_json(model: Any) -> None:
    from mlflow.pyfunc.scoring_server import predictions_to_json

    class Written:
        text = ""

        def write(self, text: str) -> None:
            self.text += text

    out = Written()
    predictions_to_json(model.predict(pd.DataFrame([{"text": "NaCl"}, {"text": " "}])), out)

    first, second = json.loads(out.text, parse_constant=pytest.fail)["predictions"]
    assert first["nearest"][0]["rank"] == 1
    assert second["nearest"] is None
