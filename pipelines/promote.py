"""Promotion as a flow: to run by hand or by a schedule, with the decision on Prefect's page.

    python -m pipelines.promote crystal+pxrd --to production

What it does is `matbind promote`; this is no stage of DVC.
"""

from __future__ import annotations

import re
from typing import Annotated

import typer
from prefect import flow

from matbind.base.errors import shown
from matbind.registry.promotion import promote as promotion
from matbind.registry.promotion import trail
from matbind.registry.promotion.promote import Decision, Refused
from pipelines.stage import reporter, run


@flow(name="promote", persist_result=False)
def promote(
    name: str,
    version: int | None = None,
    to: str = "production",
    reason: str = "",
    force: bool = False,  # noqa: FBT001, FBT002  # a parameter on Prefect's page
) -> None:
    """Move a version of a registered model to a stage, if it is no worse than the one in production.

    Args:
        name: of the registered model, or its combination.
        version: which one; the challenger by default.
        to: staging, production or archived.
        reason: why; it is kept.
        force: in spite of unmet conditions; needs a reason.

    Raises:
        UserError: if the version does not meet the conditions, or something that was given is wrong.
    """
    try:
        decision = promotion.promote(name, to=to, version=version, reason=reason, force=force)
    except Refused as refused:
        publish(refused.decision)
        raise
    publish(decision)
    reporter("promote")(decision.says)


def publish(decision: Decision) -> None:
    """Show a decision among the artifacts of the flow that runs."""
    from prefect.artifacts import create_markdown_artifact

    key = "promote-" + re.sub(r"[^a-z0-9]+", "-", decision.name.lower()).strip("-")
    create_markdown_artifact(markdown(decision), key=key, description=f"Last decision on {decision.name}")


def markdown(decision: Decision) -> str:
    """A decision with its conditions and figures."""
    entry = decision.entry
    verdict = "unchanged" if not decision.is_new and decision.accepted else "moved" if decision.accepted else "refused"
    lines = [f"# {decision.name} version {entry.version}: {entry.source} → {entry.to}, {verdict}", "", decision.says]
    return "\n".join([*lines, "", trail.describe(entry)])


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def once(
    name: Annotated[str, typer.Argument(help="A registered model or its combination, such as crystal+pxrd.")],
    *,
    to: Annotated[str, typer.Option(metavar="STAGE", help="staging, production or archived.")] = "production",
    version: Annotated[int | None, typer.Option(min=1, help="Which version; the challenger if left out.")] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept.")] = "",
    force: Annotated[bool, typer.Option("--force", help="In spite of unmet conditions; needs a reason.")] = False,
) -> None:
    """Move a version of a registered model to a stage, if it is no worse than the one in production."""
    run(lambda _params: promote(name, version, to, reason, force))


if __name__ == "__main__":
    with shown():
        app(prog_name="python -m pipelines.promote")
