"""The featurize stage: valid records to memory-mapped arrays."""

from matbind.featurize import featurize as featurize_records
from matbind.files import FEATURES, VALID
from matbind.settings import Settings
from pipelines.stage import reporter, run, stage


@stage
def featurize(settings: Settings) -> None:
    """Turn the records of every modality into arrays."""
    featurize_records(settings, records=VALID, out=FEATURES, report=reporter("featurize"))


if __name__ == "__main__":
    run(featurize)
