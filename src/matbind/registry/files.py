"""The files of a registered model, as MLflow loads and serves them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from matbind.modalities.combinations import Combination
from matbind.registry.registry import MODEL_FILES
from matbind.serving.bundle import default_key
from matbind.serving.packaged_code import SCRIPT, copy_code, requirements
from matbind.serving.searcher import columns, example_of


def save_files(combination: Combination, bundle: Path, out: Path, *, model_id: str, run_id: str | None) -> None:
    """Write an MLflow model: a script, the code it imports, and the data it loads; nothing is pickled.

    Args:
        combination: which modalities.
        bundle: what `write_bundle` wrote for it.
        out: the directory to write, new.
        model_id: of the logged model whose files these will be.
        run_id: of the run that trained it, if the store has it.
    """
    import pandas as pd
    from mlflow.models import Model
    from mlflow.pyfunc import save_model

    description = Model(model_id=model_id, model_uuid=model_id, run_id=run_id)
    with tempfile.TemporaryDirectory() as directory:
        save_model(
            path=str(out),
            python_model=str(SCRIPT),
            artifacts={"model": str(bundle)},
            code_paths=[str(copy_code(Path(directory)))],
            pip_requirements=requirements(),
            signature=signature(combination),
            input_example=pd.DataFrame([example_of(combination.hub)]),
            mlflow_model=description,
        )
    _forget_this_machine(description, out)
    for cache in list(out.rglob("__pycache__")):
        shutil.rmtree(cache)


def signature(combination: Combination) -> Any:
    """What a registered model takes and gives: every column is a text and may be left out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Object, Property

    hit = Object(
        [
            Property("rank", DataType.long),
            *(Property(name, DataType.string) for name in ("material_id", "formula", "split")),
            Property("similarity", DataType.double),
        ]
    )
    answer: dict[str, Any] = {
        "nearest": Array(hit),
        "embedding": Array(DataType.double),
        "probability": DataType.double,
        "confident": DataType.boolean,
        "message": DataType.string,
        "error": DataType.string,
    }
    params = {"k": 10, "key": default_key(combination), "return": "nearest", "contains": "", "only": "", "without": ""}
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, name, required=False) for name in columns()]),
        outputs=Schema([ColSpec(kind, name, required=False) for name, kind in answer.items()]),
        params=ParamSchema(
            [ParamSpec(k, DataType.long if isinstance(v, int) else DataType.string, v) for k, v in params.items()]
        ),
    )


def _forget_this_machine(description: Any, out: Path) -> None:
    """Give the data the one place where it is looked for, and take this machine's paths out of the description."""
    flavor = description.flavors["python_function"]
    flavor["model_code_path"] = SCRIPT.name
    data = flavor["artifacts"]["model"]
    (out / data["path"]).rename(out / MODEL_FILES)
    data["path"] = data["uri"] = MODEL_FILES
    description.save(str(out / "MLmodel"))
