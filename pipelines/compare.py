"""The compare stage: all combinations beside each other."""

from prefect.artifacts import create_table_artifact

from matbind.base.files import COMPARISON, MEAN_RECALL, METRICS, REPORTS, SUMMARY, VALID, read_json
from matbind.evaluation.compare import compare as compare_combinations
from matbind.settings.params import Settings
from matbind.tracking.tracker import Tracker
from pipelines.stage import reporter, run, stage
from pipelines.summary import RECALL, recall_rows


@stage
def compare(settings: Settings) -> None:
    """Write the comparison, and its table, and keep them with the tracked ablation."""
    log = reporter("compare")
    tracker = Tracker(warn=log)
    compare_combinations(
        settings,
        metrics=METRICS,
        records=VALID,
        out=COMPARISON,
        recall=MEAN_RECALL,
        summary=SUMMARY,
        reports=REPORTS,
        data_md5=tracker.origin.data_md5,
        git_commit=tracker.origin.code,
        log=log,
    )
    create_table_artifact(recall_rows(), key="compare", description=RECALL)
    files = [COMPARISON, REPORTS / "comparison.md"]
    tracker.log_comparison([read_json(path) for path in sorted(METRICS.glob("*.json"))], files)


if __name__ == "__main__":
    run(compare)
