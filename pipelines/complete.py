"""The complete stage: texts and densities of states for materials that come without."""

from matbind.complete import complete as complete_tables
from matbind.files import COMPLETED, SCRATCH
from matbind.settings import Settings
from matbind.sources.read import read_source
from pipelines.cluster import workers
from pipelines.stage import reporter, run, stage


@stage
def complete(settings: Settings) -> None:
    """Describe structures in words and calculate their densities of states where the source brings none."""
    report = reporter("complete")
    with workers(settings.parallel) as pool:
        raw = read_source(settings.prepare, scratch=SCRATCH / "source", workers=pool, report=report)
        complete_tables(
            raw, settings.complete, out=COMPLETED, scratch=SCRATCH / "completed", workers=pool, report=report
        )


if __name__ == "__main__":
    run(complete)
