"""What Prefect's page shows, asked of its server."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx

PATIENCE_SECONDS = 60


def artifact(api_url: str, key: str) -> Any:
    """The content of the newest artifact of a key; rows, if it is a table."""
    shown = httpx.get(f"{api_url}/artifacts/{key}/latest").json()
    return json.loads(shown["data"]) if shown["type"] == "table" else shown["data"]


def newest_run(api_url: str, flow: str) -> dict[str, Any]:
    """The flow run that began last."""
    asked = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_DESC", "limit": 1}
    [run] = httpx.post(f"{api_url}/flow_runs/filter", json=asked).json()
    return dict(run)


def logs(api_url: str, flow_run_id: str, *, until: set[str]) -> list[dict[str, Any]]:
    """The log lines of a flow run, as soon as these are among them: they are sent every other second."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        asked = {"logs": {"flow_run_id": {"any_": [flow_run_id]}}}
        lines: list[dict[str, Any]] = httpx.post(f"{api_url}/logs/filter", json=asked).json()
        if until <= {line["message"] for line in lines} or time.monotonic() > deadline:
            return lines
        time.sleep(0.2)
