"""The complete stage: texts and densities of states for materials that come without."""

from prefect.artifacts import create_table_artifact

from matbind.base.files import COMPLETED, SCRATCH
from matbind.data.completion.complete import complete as complete_tables
from matbind.data.sources.read import read_source
from matbind.settings.params import Settings
from pipelines.cluster import workers
from pipelines.stage import reporter, run, stage


@stage
def complete(settings: Settings) -> None:
    """Describe structures in words and calculate their densities of states where the source brings none."""
    log = reporter("complete")
    with workers(settings.parallel, log=log) as pool:
        raw = read_source(settings.prepare, scratch=SCRATCH / "source", workers=pool, log=log)
        scratch = SCRATCH / "completed"
        counts = complete_tables(raw, settings.complete, out=COMPLETED, scratch=scratch, workers=pool, log=log)
    if counts:
        create_table_artifact([counts], key="complete", description="Values made for materials that came without")


if __name__ == "__main__":
    run(complete)
