"""The source that `prepare.source` names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from matbind.errors import UserError
from matbind.parallel import Workers
from matbind.sources import sample
from matbind.sources.raw import RawTables

SourceName = Literal["tables", "folder", "materials-project"]


def read_source(
    source: SourceName,
    directory: Path,
    *,
    wavelength_angstrom: float,
    two_theta_deg: tuple[float, float],
    n_points: int,
    wavelength: str | float | None,
    scratch: Path,
    workers: Workers,
    report: Callable[[str], None],
) -> RawTables:
    """Read a source.

    Args:
        source: `tables` (Parquet files), `folder` (structure files with spectra beside them) or `materials-project`
            (what `matbind data materials-project` has downloaded).
        directory: of the source.
        wavelength_angstrom: for which the patterns of a folder are computed from what was measured.
        two_theta_deg: first and last angle of the patterns.
        n_points: of the patterns.
        wavelength: of patterns whose file names none, a name or angstrom.
        scratch: keeps the files of a folder as they are read.
        workers: read the files of a folder.
        report: is told the progress in sentences.

    Raises:
        UserError: if the source is missing, unreadable or not complete.
    """
    if source == "folder":
        from matbind.formats.pattern_grid import Grid
        from matbind.sources import folder

        grid = Grid(wavelength_angstrom=wavelength_angstrom, two_theta_deg=two_theta_deg, n_points=n_points)
        return folder.read(directory, grid=grid, wavelength=wavelength, scratch=scratch, workers=workers, report=report)
    if source == "materials-project":
        _check_downloaded(directory, report)
    return sample.read(directory)


def _check_downloaded(directory: Path, report: Callable[[str], None]) -> None:
    from matbind.files import read_json

    found = directory / "source.json"
    if not found.exists():
        raise UserError(
            f"{found}: the file does not exist, expected a finished download in prepare.data; "
            f"matbind data materials-project {directory} makes one, or goes on with it"
        )
    told = read_json(found)
    report(f"Materials Project {told['database_version']}, downloaded on {told['date']}")
    if not told["complete"]:
        report(
            f"{told['counts']['failed']} values failed, they are listed in {directory / 'failed.parquet'}; "
            f"matbind data materials-project {directory} --retry-failed asks for them again"
        )
