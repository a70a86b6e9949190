"""The prepare stage: data to records."""

from matbind.files import RECORDS
from matbind.prepare import prepare as prepare_records
from matbind.settings import Settings
from pipelines.stage import reporter, run, stage


@stage
def prepare(settings: Settings) -> None:
    """Read the sources, simulate missing patterns, split by formula."""
    prepare_records(settings, out=RECORDS, report=reporter("prepare"))


if __name__ == "__main__":
    run(prepare)
