"""The prepare stage: data to records."""

from prefect.artifacts import create_table_artifact

from matbind.base.files import COMPLETED, RECORDS, SCRATCH
from matbind.data.prepare import prepare as prepare_records
from matbind.settings.params import Settings
from pipelines.cluster import workers
from pipelines.stage import reporter, run, stage


@stage
def prepare(settings: Settings) -> None:
    """Read the source and what was completed, simulate missing patterns, split by formula."""
    log, scratch = reporter("prepare"), SCRATCH / "source"
    with workers(settings.parallel, log=log) as pool:
        counts = prepare_records(settings, out=RECORDS, completed=COMPLETED, scratch=scratch, log=log, workers=pool)
    create_table_artifact([counts], key="prepare", description="Materials, with each modality, and on each side")


if __name__ == "__main__":
    run(prepare)
