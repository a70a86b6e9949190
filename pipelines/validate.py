"""The validate stage: records to valid records, a report, and a quarantine."""

import logging

from prefect.artifacts import create_table_artifact

from matbind.base.files import EXPECTATIONS, RECORDS, VALID, VALIDATION_REPORT
from matbind.data.validation.stage import QUARANTINE
from matbind.data.validation.stage import validate as validate_records
from matbind.settings.params import Settings
from matbind.tracking.tracker import Tracker
from pipelines.stage import reporter, run, stage


@stage
def validate(settings: Settings) -> None:
    """Check structures, DOS, patterns and texts, and set aside what is bad."""
    log = reporter("validate")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # it logs every temporary directory
    document = validate_records(settings, RECORDS, VALID, VALIDATION_REPORT, expectations=EXPECTATIONS, log=log)
    columns = ("values", "quarantined", "removed_with_structure", "kept")
    rows = [{"modality": name} | {c: counts[c] for c in columns} for name, counts in document["modalities"].items()]
    create_table_artifact(rows, key="validate", description="Values checked and set aside")
    Tracker(warn=log).log_validation(settings, document, [*sorted(VALIDATION_REPORT.iterdir()), VALID / QUARANTINE])


if __name__ == "__main__":
    run(validate)
