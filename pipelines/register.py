"""The register stage: every trained combination becomes a registered model."""

from prefect.artifacts import create_table_artifact

from matbind.base.files import FEATURES, METRICS, MODELS, REGISTERED
from matbind.registry.register import register_all
from matbind.settings.params import Settings
from matbind.tracking.tracker import Tracker
from pipelines.stage import reporter, run, stage


@stage
def register(settings: Settings) -> None:  # noqa: ARG001
    """Register the combinations one by one; a model that is registered already makes no new version."""
    log = reporter("register")
    # Runs that only files tell of, as after `dvc pull`, are added first: a version names the run that trained it.
    Tracker(warn=log).backfill(MODELS, METRICS)
    registered = register_all(features=FEATURES, models=MODELS, metrics=METRICS, out=REGISTERED, log=log)
    rows = [{"combination": combination} | version for combination, version in registered.items()]
    create_table_artifact(rows, key="register", description="Versions of the registered models")


if __name__ == "__main__":
    run(register)
