"""Commands of the trained and registered models: list, promote, tell where they come from, search by them."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matbind.base.errors import USER_ERROR, UserError
from matbind.cli.output import examples, print_table, say

if TYPE_CHECKING:
    from matbind.registry.promotion.promote import Decision

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EXAMPLES = {
    "models": examples("matbind models", "matbind models crystal+pxrd --history", "matbind models --json"),
    "promote": examples(
        "matbind promote crystal+pxrd --to staging",
        "matbind promote crystal+pxrd --to production --version 3 --json",
        'matbind promote crystal+pxrd --to production --force --reason "the old one leaks"',
        "matbind promote crystal+pxrd --rollback",
    ),
    "provenance": examples(
        "matbind provenance crystal+pxrd",
        "matbind provenance matbind-crystal-pxrd@champion --json",
        "matbind provenance crystal+pxrd --checkout > again.sh",
    ),
    "search": examples(
        "matbind search pattern.xy --model crystal+pxrd --wavelength CuKa",
        "matbind search structure.cif pattern.xy --together --k 5",
        "matbind search dos.csv --contains Ba,O --without Pb --json",
        'matbind search --text "BaTiO3 is a cubic perovskite." --key crystal',
    ),
}


def models(
    name: Annotated[str | None, typer.Argument(help="A registered model or its combination; all if left out.")] = None,
    *,
    history: Annotated[bool, typer.Option("--history", help="The promotions instead: who, when, what, why.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the registered models: versions, stages, recall, origin.

    recall@1 is the mean over the aligned pairs on the test split, of a single over its views.
    """
    from matbind.registry import listing as registry_list
    from matbind.registry.local import LocalRegistry
    from matbind.tracking.store import require_store

    require_store()
    states = registry_list.read_states(LocalRegistry(), name)
    if history and as_json:
        promotions = [{"name": s.name, "promotions": [entry.as_dict() for entry in s.entries]} for s in states]
        say(json.dumps({"models": promotions}, indent=1))
    elif as_json:
        say(json.dumps({"models": [registry_list.describe(state) for state in states]}, indent=1))
    elif not states:
        say("no model is registered yet: make run")
    for state in states if not as_json else ():
        say(state.name)
        if history:
            print_table([], registry_list.history(state) or [["  no promotions"]], right={0})
        else:
            rows = registry_list.rows(registry_list.describe(state))
            print_table(registry_list.HEADER, rows, right=registry_list.TO_THE_RIGHT)
        if state.unread:
            say(state.unread)


def promote(
    name: Annotated[str, typer.Argument(help="A registered model or its combination, such as crystal+pxrd.")],
    *,
    to: Annotated[str | None, typer.Option(metavar="STAGE", help="staging, production or archived.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Which version; the challenger if left out.")] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept.")] = "",
    force: Annotated[bool, typer.Option("--force", help="In spite of unmet conditions; needs a reason.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Production back to the last champion.")] = False,
    classic_stages: Annotated[
        bool, typer.Option("--classic-stages", help="Set MLflow's deprecated stages too, from now on.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the decision, a refusal too, as JSON.")] = False,
) -> None:
    """Move a version of a registered model to a stage, if it is no worse than the one in production.

    Needs an evaluation on the current test split. Production is the alias champion, staging the alias staging.
    """
    from matbind.registry.promotion import promote as promotion
    from matbind.tracking.store import require_store

    if rollback:
        for option, given in (("--to", to), ("--version", version), ("--force", force)):
            if given:
                raise UserError(f"--rollback is given with {option}, expected it with --reason at the most")
    elif to is None:
        raise UserError(f"--to is missing, expected one of {', '.join(promotion.STAGES)}, or --rollback")
    require_store()
    try:
        if to is None:
            decision = promotion.rollback(name, reason=reason, classic_stages=classic_stages)
        else:
            decision = promotion.promote(
                name, to=to, version=version, reason=reason, force=force, classic_stages=classic_stages
            )
    except promotion.Refused as refused:
        if as_json:
            say(json.dumps(_decided(refused.decision), indent=1))
        raise
    say(json.dumps(_decided(decision), indent=1) if as_json else decision.says)


def _decided(decision: Decision) -> dict[str, Any]:
    """Return a decision for JSON; the keys are stable."""
    trail_only = {"number", "outcome"}  # its place in the trail, not known before that is read again
    promotion = {key: value for key, value in decision.entry.as_dict().items() if key not in trail_only}
    return {
        "name": decision.name,
        "accepted": decision.accepted,
        "changed": decision.is_new,
        "says": decision.says,
        "promotion": promotion,
    }


def provenance(
    model: Annotated[str, typer.Argument(help="A combination in models/, or a registered NAME@ALIAS or NAME/VERSION.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
    checkout: Annotated[bool, typer.Option("--checkout", help="The shell commands that make the model again.")] = False,
) -> None:
    """Print what a model was made from: data, code, settings, stages, environment."""
    from matbind.tracking import lineage

    origin = lineage.lineage_of(model)
    if checkout:
        sys.stdout.write(lineage.rebuild_script(origin, interpreter=sys.executable))
    elif as_json:
        say(json.dumps(asdict(origin), indent=1))
    else:
        print_table([], lineage.rows(origin))


def search(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", help="Patterns, structures, densities of states or descriptions."),
    ] = None,
    *,
    text: Annotated[str | None, typer.Option("--text", metavar="TEXT", help="A description, typed here.")] = None,
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="NAME@ALIAS, NAME/VERSION, a combination, or a directory.")
    ] = "crystal+dos+pxrd+text",
    k: Annotated[int, typer.Option("--k", min=1, max=1000, help="Length of the list.")] = 10,
    key: Annotated[str, typer.Option(metavar="MODALITY", help="Gallery to search; crystal if the model has it.")] = "",
    contains: Annotated[str, typer.Option(metavar="Ba,O", help="Elements that have to be in.")] = "",
    only: Annotated[str, typer.Option(metavar="Ba,Ti,O", help="Elements of which there may be no other.")] = "",
    without: Annotated[str, typer.Option(metavar="Pb", help="Elements that must not be in.")] = "",
    modality: Annotated[
        str | None, typer.Option("--as", metavar="MODALITY", help="What the files hold, if it cannot be told.")
    ] = None,
    wavelength: Annotated[
        str | None, typer.Option(metavar="CuKa", help="Of patterns that name none: a line or angstrom; never guessed.")
    ] = None,
    atoms: Annotated[int | None, typer.Option(min=1, help="Of the cell of a DOS whose file does not say it.")] = None,
    together: Annotated[bool, typer.Option("--together", help="The files are one query of one material.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find the materials that match files or a description.

    A measured pattern in, ranked crystals out, and so for every modality of the model. A file that cannot be used is
    said and stops no other.
    """
    from matbind.search.search import Reading, search
    from matbind.serving.searcher import Options

    if not files and text is None:
        raise UserError("there is nothing to search with, expected files, or --text with a description")
    options = Options(
        k=k,
        key=key,
        contains=_elements("--contains", contains),
        only=_elements("--only", only),
        without=_elements("--without", without),
    )
    reading = Reading(modality=modality, wavelength=wavelength, n_atoms=atoms)
    typed = {} if text is None else {"text": text}
    answers = search(files or [], typed=typed, model=model, options=options, reading=reading, together=together)
    if as_json:
        say(json.dumps(answers, indent=1))
    else:
        for answer in answers:
            _print_answer(answer)
    if any(answer["error"] for answer in answers):
        sys.exit(USER_ERROR)


def _elements(option: str, given: str) -> tuple[str, ...]:
    """Return the symbols that an option lists, in any case; one that could be two elements is refused."""
    from matbind.materials.formula import ELEMENTS

    symbols = []
    for name in given.replace(",", " ").split():
        symbol = name if name in ELEMENTS else name.capitalize()
        parts = re.findall("[A-Z][a-z]?", name)
        several = ",".join(parts) if len(parts) > 1 and "".join(parts) == name and set(parts) <= set(ELEMENTS) else ""
        if symbol not in ELEMENTS or several:
            meant = [meaning for meaning in (symbol if symbol in ELEMENTS else "", several) if meaning]
            question = f" (did you mean {' or '.join(meant)}?)" if meant else ""
            raise UserError(f"{option}: {name!r} is no chemical element{question}, expected symbols such as Ba,O")
        symbols.append(symbol)
    return tuple(symbols)


def _print_answer(answer: dict[str, Any]) -> None:
    say(answer["error"] or f"{' + '.join(answer['query'])}: {answer['message']}")
    for note in answer["notes"]:
        say(f"  {note}")
    rows = [
        [f"  {hit['rank']}", hit["material_id"], hit["formula"], f"{hit['similarity']:.3f}", hit["split"]]
        for hit in answer["nearest"] or []
    ]
    if rows:
        print_table(["  rank", "material", "formula", "similarity", "split"], rows, right={0, 3})
