"""Which extra of the package brings a library that is not installed."""

from __future__ import annotations

EXTRAS = {
    "train": ("jinja2", "matplotlib", "psutil", "pyarrow", "sklearn", "threadpoolctl"),
    "mlops": ("dvc", "great_expectations", "mlflow", "optuna", "pandas", "PIL", "plotly", "prefect", "sqlalchemy"),
}
"""The modules that some commands import and `pip install matbind` alone does not bring, by extra. Those of the smaller
extras are asked for, and named, where they are used."""


def missing(error: BaseException) -> str | None:
    """Say which library an import did not find and what installs it; None if the error is another one."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    module = error.name.partition(".")[0]
    extra = next((name for name, modules in EXTRAS.items() if module in modules), None)
    return extra and f"{module} is not installed, expected it for this: pip install 'matbind[{extra}]'"
