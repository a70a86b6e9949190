"""The analyse stage: every question of the trained models, answered from their stored embeddings."""

from pathlib import Path
from typing import Any

from prefect.artifacts import create_table_artifact

from matbind.analysis.inputs import Request
from matbind.analysis.stage import analyse as analyse_models
from matbind.base.files import ANALYSIS, FEATURES, METRICS, MODELS, SCRATCH, VALID, read_json
from matbind.settings.load import PARAMS_FILE
from matbind.settings.params import Settings
from pipelines.cluster import workers
from pipelines.stage import reporter, run, stage

LATENT, SHAPLEY = Path("metrics/latent.json"), Path("metrics/shapley.json")


@stage
def analyse(settings: Settings) -> None:
    """Write the numbers behind the figures: similarities, maps, contributions, probes, robustness, failures."""
    log = reporter("analyse")
    request = Request(
        settings=settings.analysis,
        seed=settings.seed,
        hub_order=settings.hub_order,
        records=VALID,
        features=FEATURES,
        models=MODELS,
        metrics=METRICS,
        out=ANALYSIS,
    )
    with workers(settings.parallel, log=log) as pool:
        analyse_models(
            request,
            latent=LATENT,
            shapley=SHAPLEY,
            scratch=SCRATCH / "symmetry",
            params=PARAMS_FILE,
            log=log,
            workers=pool,
        )
    create_table_artifact(_worth(), key="analyse", description="Shapley value of each modality by question")


def _worth() -> list[dict[str, Any]]:
    answers = read_json(SHAPLEY).items()
    return [{"question": q} | {name: round(v["value"], 3) for name, v in values.items()} for q, values in answers]


if __name__ == "__main__":
    run(analyse)
