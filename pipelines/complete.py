"""The complete stage: texts and densities of states for materials that come without."""

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
        complete_tables(raw, settings.complete, out=COMPLETED, scratch=SCRATCH / "completed", workers=pool, log=log)


if __name__ == "__main__":
    run(complete)
