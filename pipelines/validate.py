"""The validate stage: records to valid records, a report, and a quarantine."""

import logging

from matbind.files import RECORDS, VALID, VALIDATION_REPORT
from matbind.settings import Settings
from matbind.tracking import Tracker
from matbind.validation.pxrd import Grid
from matbind.validation.stage import QUARANTINE
from matbind.validation.stage import validate as validate_records
from pipelines.stage import reporter, run, stage


@stage
def validate(settings: Settings) -> None:
    """Check structures, DOS, patterns and texts, and set aside what is bad."""
    report = reporter("validate")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # it tells of every temporary directory
    points = settings.prepare.pxrd
    grid = Grid(
        wavelength_angstrom=points.wavelength_angstrom, two_theta_deg=points.two_theta_deg, n_points=points.n_points
    )
    document = validate_records(settings.validation, RECORDS, VALID, VALIDATION_REPORT, grid=grid, report=report)
    Tracker(warn=report).log_validation(settings, document, [*sorted(VALIDATION_REPORT.iterdir()), VALID / QUARANTINE])


if __name__ == "__main__":
    run(validate)
