"""The featurize stage: valid records to memory-mapped arrays."""

from prefect.artifacts import create_table_artifact

from matbind.base.files import FEATURES, VALID
from matbind.data.featurize import featurize as featurize_records
from matbind.settings.params import Settings
from pipelines.cluster import workers
from pipelines.stage import reporter, run, stage


@stage
def featurize(settings: Settings) -> None:
    """Turn the records of every modality into arrays."""
    log = reporter("featurize")
    with workers(settings.parallel, log=log) as pool:
        counts = featurize_records(settings, records=VALID, out=FEATURES, log=log, workers=pool)
    create_table_artifact([counts], key="featurize", description="Materials with arrays of each modality")


if __name__ == "__main__":
    run(featurize)
