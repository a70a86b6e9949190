"""What MLflow's pages show of an experiment without a search: its description, and a saved view of its runs."""

from __future__ import annotations

import json
import time
from typing import Any

VIEW = "matbind"  # its key in the menu Views, and in the address
VIEW_NAME = "Recall by combination"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"  # MLflow's page keeps a saved view in such a tag of the experiment
PAIRS = "pairs.json"
ML = "workflowType=machine_learning"  # MLflow's pages are those of chat models unless an address says otherwise
RANKED_BY = "recall_at_1.with_hub"
SHOWN = (RANKED_BY, "recall_at_1.emergent_mean", "recall_at_5.with_hub")
FIGURES = [f"metrics.`{figure}`" for figure in SHOWN]
MODELS = "attributes.`Models`"
OTHER_COLUMNS = ["params.`hub`", "params.`n_parameters`", MODELS, "attributes.`Dataset`"]
WIDTH = 220  # pixels, for the name of a metric or a model
MOST_BARS = 20


def view_of(parent: str) -> str:
    """Write the view that ranks the combinations of an ablation, as MLflow's page saves one.

    Its table begins with the figures of recall, and so do its charts; the page adds all other charts below.

    Args:
        parent: id of the run of the ablation.
    """
    now = int(time.time() * 1000)
    state = {
        "searchFilter": f"tags.`mlflow.parentRunId` = '{parent}'",
        "orderByKey": f"metrics.`{RANKED_BY}`",
        "orderByAsc": False,
        "selectedColumns": FIGURES + OTHER_COLUMNS,
        "columnOrder": ["attributes.`Run Name`", *FIGURES, *OTHER_COLUMNS],
        "columnWidths": dict.fromkeys([*FIGURES, MODELS], WIDTH),
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunSections": [
            {"uuid": VIEW, "name": "Recall on the test split", "display": True, "isReordered": True}
        ],
        "compareRunCharts": [_chart(figure) for figure in SHOWN],
        "isAccordionReordered": True,
    }
    return json.dumps({"name": VIEW_NAME, "createdAt": now, "updatedAt": now, "state": json.dumps(state)})


def view_path(experiment: str) -> str:
    """Return where, below the address of MLflow's pages, the view is."""
    return f"/#/experiments/{experiment}/runs?{ML}&viewStateShareKey={VIEW}"


def describe_experiment(experiment: str, parent: str, name: str) -> str:
    """Write what is in the experiment and where to click, in Markdown.

    Args:
        experiment: its id.
        parent: id of the run of the latest ablation.
        name: of that run.
    """
    table = f"#/experiments/{experiment}/runs/{parent}/artifacts/{PAIRS}?{ML}"
    return (
        f"**[{VIEW_NAME}]({view_path(experiment)[1:]})** · **[Every pair of modalities]({table})** · "
        f"of the latest ablation, *{name}*, on the test split\n\n"
        "The first is the view of that name in the menu Views; the chart symbol beside the search field draws what is "
        "listed, and two or more runs that are ticked can be compared. The second is one table of recall, MRR, N and "
        "chance.\n\n"
        "An ablation has a run for each combination below it, a tuning one for each trial. A run names the data of its "
        "splits (Datasets used) and the model that was registered from it (Logged models)."
    )


def _chart(figure: str) -> dict[str, Any]:
    return {
        "type": "BAR",
        "uuid": f"{VIEW} {figure}",
        "metricKey": figure,
        "displayName": figure,
        "metricSectionId": VIEW,
        "runsCountToCompare": MOST_BARS,
        "deleted": False,
        "isGenerated": False,
    }
