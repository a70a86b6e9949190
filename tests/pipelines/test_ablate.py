from __future__ import annotations

import httpx
from prefect import flow

from pipelines.ablate import Progress


def test_the_page_shows_how_many_combinations_are_done(prefect_api_url: str) -> None:
    @flow
    def ablating() -> None:
        progress = Progress(4)
        progress.step("crystal+dos")
        progress.step("text")
        progress.step("dos")

    ablating()

    shown = httpx.get(f"{prefect_api_url}/artifacts/ablate/latest").json()
    assert (shown["type"], shown["data"]) == ("progress", 75.0)
    assert shown["description"] == "3 of 4 trainings, the last dos"
