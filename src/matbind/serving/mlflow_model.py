"""The script of a registered model: MLflow runs it where the model is loaded, with the model's own code on the path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

# Numba reads this when it is imported. Its default is beside the code: in the files of the registered model, which are
# to stay what was registered.
os.environ.setdefault("NUMBA_CACHE_DIR", os.path.expanduser("~/.cache/matbind/numba"))  # noqa: PTH111  # may have no home

from matbind.serving.searcher import FIELDS, Options, Searcher


class MatbindModel(PythonModel):
    """Queries in, nearest materials and embeddings out; a row that cannot be answered says why."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load weights and gallery."""
        self._searcher = Searcher(Path(context.artifacts["model"]))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Answer every row.

        Args:
            context: of MLflow.
            model_input: one query a row; the columns are those of the signature, each of them optional.
            params: k, key, return, contains, only, without; see the signature.

        Returns:
            A row a query: nearest, embedding, probability, confident, message, error.

        Raises:
            MlflowException: if no column is one of the signature: MLflow has left the unknown ones out, and with the
                last of them the rows. A server answers with the status 400.
        """
        if model_input.columns.empty:
            nothing = self._searcher.answer({})["error"]
            raise MlflowException.invalid_parameter_value(f"no column that was sent is known to this model: {nothing}")
        names = [str(name) for name in model_input.columns]
        records = [dict(zip(names, row, strict=True)) for row in model_input.to_numpy()]
        try:
            options = _options(params or {})
        except ValueError as error:
            answers = [dict.fromkeys(FIELDS) | {"error": str(error)} for _ in records]
        else:
            answers = [self._searcher.answer(record, options) for record in records]
        # Objects, or pandas would make NaN of None, which is no JSON.
        return pd.DataFrame({field: pd.Series([a[field] for a in answers], dtype=object) for field in FIELDS})


def _options(params: dict[str, Any]) -> Options:
    elements = {
        name: tuple(str(params.get(name) or "").replace(",", " ").split()) for name in ("contains", "only", "without")
    }
    return Options(
        k=int(params.get("k", 10)),
        key=str(params.get("key") or ""),
        wanted=params.get("return") or "nearest",
        **elements,
    )


set_model(MatbindModel())
