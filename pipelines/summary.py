"""What an experiment came to, as rows and links for the pages of Prefect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_table_artifact

from matbind.base.files import MEAN_RECALL, METRICS, REPORTS, read_json
from matbind.tracking.runs import PARENT
from matbind.tracking.store import connect, tracking_uri

LOCAL_PAGE = "http://127.0.0.1:5000"  # where `matbind ui` serves the runs of a project without a tracking server
RECALL = "Means of recall on the test split by kind of pair"
REPORT_FILES = ("index.html", "comparison.md")


def recall_rows() -> list[dict[str, Any]]:
    """Return means of recall@1 by combination and kind of pair; empty where there is no such pair."""
    recall = read_json(MEAN_RECALL) if MEAN_RECALL.exists() else {}
    kinds = dict.fromkeys(kind for means in recall.values() for kind in means)
    return [{"combination": name, **{kind: means.get(kind, "") for kind in kinds}} for name, means in recall.items()]


def mlflow_link() -> str:
    """Return the page of the ablation these metrics belong to, or of all runs if the store does not tell it."""
    uri = tracking_uri()
    base = uri.rstrip("/") if uri.startswith("http") else LOCAL_PAGE
    ids = [run_id for path in sorted(METRICS.glob("*.json")) if (run_id := read_json(path).get("run_id"))]
    try:
        client, experiment = connect()
        parents = [client.get_run(run_id).data.tags.get(PARENT) for run_id in ids[:1]]
    except Exception:  # noqa: BLE001  # a link is no reason to fail
        return base
    page = f"{base}/#/experiments/{experiment}"
    return f"{page}/runs/{parents[0]}" if parents and parents[0] else page


def report_file() -> Path | None:
    """Return the page a reader begins with, None if there is no report."""
    return next((path for name in REPORT_FILES if (path := REPORTS / name).exists()), None)


def publish() -> None:
    """Show the summary among the artifacts of the flow that runs."""
    rows = recall_rows()
    if rows:
        create_table_artifact(rows, key="recall", description=RECALL)
    publish_links()


def publish_links() -> None:
    """Show where runs and report are among the artifacts of the flow that runs."""
    create_link_artifact(mlflow_link(), key="mlflow", link_text="Runs in MLflow")
    report = report_file()
    if report is not None:
        create_link_artifact(report.resolve().as_uri(), key="report", link_text=f"Report ({report})")
