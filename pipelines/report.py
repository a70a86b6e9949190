"""The report stage: every table and figure as files, and one page."""

from matbind.base.files import ANALYSIS, COMPARISON, METRICS, REGISTERED, REPORTS, TUNING_METRICS, read_json
from matbind.report.inputs import MAPS_TABLE, Inputs, read_answers
from matbind.report.stage import FIGURES, write_report
from matbind.settings.params import Settings
from matbind.tracking.tracker import Tracker
from pipelines.stage import reporter, run, stage
from pipelines.summary import mlflow_link, publish_links


@stage
def report(settings: Settings) -> None:
    """Draw all figures, write the page, and keep both with the tracked ablation."""
    log = reporter("report")
    tracker = Tracker(warn=log)
    inputs = Inputs(
        comparison=read_json(COMPARISON),
        answers=read_answers(ANALYSIS),
        maps=ANALYSIS / MAPS_TABLE,
        tuning=read_json(TUNING_METRICS) if TUNING_METRICS.exists() else None,
        registry=read_json(REGISTERED) if REGISTERED.exists() else None,
        preset=settings.preset,
        seed=settings.seed,
        runs_page=runs_page(),
    )
    page = write_report(inputs, out=REPORTS, log=log)
    publish_links()
    files = [page, *sorted((REPORTS / FIGURES).glob("*.png"))]
    tracker.log_comparison([read_json(path) for path in sorted(METRICS.glob("*.json"))], files)


def runs_page() -> str | None:
    """Return what a run's id is put behind to open it in MLflow, None if the store does not tell."""
    page, separator, rest = mlflow_link().partition("/#/experiments/")
    return f"{page}{separator}{rest.partition('/')[0]}/runs/" if separator else None


if __name__ == "__main__":
    run(report)
