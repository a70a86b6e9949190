"""`matbind data`: bring materials from where they are into a directory of tables, and compute what they lack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from matbind.base.errors import UserError
from matbind.cli.output import examples, say

PARAMS = Path("params.yaml")

data = typer.Typer(
    help="Bring materials into a directory of tables, and compute what they lack. What is stopped goes on when typed "
    "again.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    epilog=examples("matbind data folder my-crystals data-mine --wavelength CuKa", "matbind data text data-mine"),
)

Params = Annotated[Path, typer.Option("--params", metavar="FILE", help="Settings file.")]
Out = Annotated[Path, typer.Argument(help="Directory of tables to write.")]
Directory = Annotated[Path, typer.Argument(help="Directory of tables to complete.")]
Retry = Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before, and nothing else.")]
Processes = Annotated[int, typer.Option("--workers", min=0, help="Processes; 0 for one a core.")]
TimeLimit = Annotated[float, typer.Option(help="Longest time for one material, seconds.")]
TIME_LIMIT_SECONDS = 600.0


@data.command(
    "materials-project",
    epilog=examples(
        "matbind data materials-project data-oxides --elements O --max-sites 40",
        "matbind data materials-project data-chosen --ids @ids.txt --no-dos",
    ),
)
def materials_project(
    out: Out,
    *,
    elements: Annotated[str | None, typer.Option(help="All of them are in the material: Fe,O")] = None,
    exclude: Annotated[str | None, typer.Option(help="None of these elements is.")] = None,
    chemsys: Annotated[str | None, typer.Option(help="Just the elements of one of these: Ba-Ti-O,Li-O")] = None,
    formula: Annotated[str | None, typer.Option(help="One of these: BaTiO3, or ABC3 for all of a kind")] = None,
    ids: Annotated[str | None, typer.Option(help="Only these: mp-149,mp-66, or @FILE with one a line")] = None,
    max_sites: Annotated[int | None, typer.Option(help="Most atoms in the cell.")] = None,
    max_hull: Annotated[float | None, typer.Option(help="Most energy above the hull, eV/atom.")] = None,
    only_with_dos: Annotated[bool, typer.Option("--only-with-dos", help="Only materials with a DOS.")] = False,
    no_dos: Annotated[bool, typer.Option("--no-dos", help="Leave the DOS out.")] = False,
    limit: Annotated[int | None, typer.Option(help="Only so many, in the order of their ids.")] = None,
    retry_failed: Retry = False,
    endpoint: Annotated[str | None, typer.Option(help="Address of another server of this interface.")] = None,
    dos_endpoint: Annotated[str | None, typer.Option(help="Address of another S3 store of the DOS.")] = None,
) -> None:
    """Download structures, properties, texts and total DOS from the Materials Project.

    Needs your key in the environment variable MP_API_KEY; it is sent to the server and kept nowhere. Without a
    condition it is the whole database. Afterwards: dvc add OUT, and in params.yaml prepare.source: materials-project,
    prepare.data: OUT.
    """
    from matbind.data.sources.materials_project.download import download
    from matbind.data.sources.materials_project.query import Query

    query = Query(
        elements=_listed(elements),
        exclude_elements=_listed(exclude),
        chemsys=_listed(chemsys),
        formula=_listed(formula),
        material_ids=_listed(ids),
        max_sites=max_sites,
        energy_above_hull=max_hull,
        only_with_dos=only_with_dos,
        limit=limit,
    )
    source = download(
        out,
        query,
        endpoint=endpoint,
        dos_endpoint=dos_endpoint,
        with_dos=not no_dos,
        retry_failed=retry_failed,
        log=say,
    )
    if not source["complete"]:
        say(f"{source['counts']['failed']} values failed: {out / 'failed.parquet'}; --retry-failed asks for them again")


@data.command(epilog=examples("matbind data folder my-crystals data-mine --wavelength CuKa"))
def folder(
    source: Annotated[Path, typer.Argument(help="Folder of CIF or POSCAR files, spectra and texts beside them.")],
    out: Out,
    *,
    wavelength: Annotated[
        str | None, typer.Option(help="Of patterns whose file names none: CuKa, MoKa, or angstrom.")
    ] = None,
    workers: Processes = 0,
    retry_failed: Retry = False,
    params: Params = PARAMS,
) -> None:
    """Read structure files, and patterns, DOS and texts of the same name beside them.

    Patterns come onto the grid of prepare.pxrd. `prepare.source: folder` does the same within `dvc repro`.
    """
    from matbind.base.parallel import processes
    from matbind.data.sources.folder import convert
    from matbind.settings.load import load

    settings = load(params).prepare
    if wavelength is not None:
        settings = settings.model_copy(update={"wavelength": wavelength})
    with processes(workers) as pool:
        counts = convert(source, out, settings, workers=pool, retry_failed=retry_failed, log=say)
    say(f"{out}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))


@data.command(epilog=examples("matbind data text data-mine", "matbind data text data-mine --retry-failed"))
def text(
    directory: Directory,
    *,
    workers: Processes = 0,
    time_limit: TimeLimit = TIME_LIMIT_SECONDS,
    retry_failed: Retry = False,
) -> None:
    """Describe the structures that have no text, by Robocrystallographer."""
    _complete("text", directory, workers, time_limit, retry_failed=retry_failed)


@data.command(epilog=examples("matbind data xtb data-mine --workers 4 --time-limit 1200"))
def xtb(
    directory: Directory,
    *,
    workers: Processes = 0,
    time_limit: TimeLimit = TIME_LIMIT_SECONDS,
    retry_failed: Retry = False,
) -> None:
    """Calculate the DOS of the structures that have none, by GFN1-xTB."""
    _complete("dos", directory, workers, time_limit, retry_failed=retry_failed)


def _complete(
    name: Literal["text", "dos"], directory: Path, workers: int, time_limit: float, *, retry_failed: bool
) -> None:
    from matbind.base.parallel import threads
    from matbind.data.completion.complete import complete_directory

    scratch = directory.with_name(directory.name + ".parts")
    with threads(workers) as pool:  # each of them waits for a process of its own
        counts = complete_directory(
            directory, name, scratch=scratch, workers=pool, time_limit_s=time_limit, retry_failed=retry_failed, log=say
        )
    say(f"{directory}: {counts[name]} made, {counts[f'{name}_failed']} failed ({scratch / 'failed.parquet'})")


def _listed(option: str | None) -> tuple[str, ...]:
    """Return the entries of a comma-separated option, or the lines of the file it names by @."""
    if option is None:
        return ()
    if option.startswith("@"):
        path = Path(option[1:])
        if not path.is_file():
            raise UserError(f"{path}: the file does not exist, expected one id a line")
        option = ",".join(path.read_text(encoding="utf-8").split())
    return tuple(entry.strip() for entry in option.split(",") if entry.strip())
