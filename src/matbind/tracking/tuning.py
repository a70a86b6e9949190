"""A tuning in MLflow: one parent run, and below it one run a trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from matbind.modalities.combinations import Combination
from matbind.settings.params import Settings
from matbind.tracking.record import combination_tags
from matbind.tracking.runs import KIND, NOTE, PARENT, Runs
from matbind.tracking.tracker import Tracker, in_full

STATE = "matbind.state"  # how a trial ended; a run without it was interrupted and goes on
ENDS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


class TuningTracker(Tracker):
    """Records a tuning and its trials; like its base a record and never a condition."""

    def start_tuning(self, settings: Settings, combination: Combination, *, fingerprint: str) -> str | None:
        """Start the parent run, or go on in that of a tuning with the same fingerprint, which would come to the same.

        Settings are those of trial 0, logged as parameters; the combination is the one that is tuned on.
        """
        tags = combination_tags(combination)
        return self._start_parent("tuning", settings, tags, fingerprint=fingerprint, unfinished=False)

    def start_trial(self, parent: str | None, number: int, settings: Settings, combination: Combination) -> str | None:
        """Start the run of one trial, below its parent; None if it is there and ended, for such a trial is kept."""

        def start(runs: Runs, above: str) -> str | None:
            known = runs.search({PARENT: above, "trial": str(number)})
            if known:
                return None if STATE in known[0].data.tags else runs.reopen(known[0].info.run_id)
            tags = {KIND: "trial", "preset": settings.preset, "trial": str(number), PARENT: above}
            return runs.create(f"trial {number}", in_full(settings), tags | combination_tags(combination))

        return self._try_run(parent, start)

    def finish_trial(
        self,
        run_id: str | None,
        state: str,
        *,
        history: Iterable[Mapping[str, float]],
        figures: Mapping[str, float],
        reason: str | None = None,
    ) -> None:
        """Record how a trial went and end its run: finished, killed (by the pruner) or failed.

        Args:
            run_id: of the trial.
            state: complete, pruned or failed; also a tag.
            history: the figures of its epochs.
            figures: what it reached; those that are no finite numbers are named in a tag.
            reason: why it failed.
        """

        def end(runs: Runs, run: str) -> None:
            runs.complete_curves(run, history)
            runs.log(run, figures)
            if reason is not None:
                runs.tag(run, "error", reason)
            runs.client.set_tag(run, STATE, state)
            runs.client.set_terminated(run, ENDS[state])

        self._try_run(run_id, end)

    def finish_tuning(
        self, run_id: str | None, figures: Mapping[str, float], files: Iterable[Path], *, note: str = ""
    ) -> None:
        """Record what the tuning came to, in figures, files and a sentence, and end its run."""

        def end(runs: Runs, run: str) -> None:
            runs.log(run, figures)
            runs.keep(run, files)
            runs.tag(run, NOTE, note)
            runs.client.set_terminated(run, "FINISHED")

        self._try_run(run_id, end)
