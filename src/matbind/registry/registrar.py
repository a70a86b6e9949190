"""Registers a trained combination: its files to the store, then a version of its name, then the alias.

The version is made last and in one step. What an interrupted registration left before it is found by its digest: whole
files are used, others are removed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matbind.base.files import read_json, write_json
from matbind.base.model_files import chosen_directory
from matbind.base.provenance import is_gone, process_fingerprint
from matbind.modalities.combinations import Combination
from matbind.registry.card import LONGEST, model_card
from matbind.registry.files import save_files
from matbind.registry.registry import (
    CHALLENGER,
    DIGEST,
    EVALUATION_DIGEST,
    EVALUATION_FILE,
    MODEL_FILES,
    PREFIX,
    SEEDS,
    Registry,
    Version,
    registered_name,
)
from matbind.serving.bundle import bundle_digest, test_set_digest, weights_digest
from matbind.serving.confidence import read_confidence
from matbind.serving.searcher import CONFIDENCE, MODEL
from matbind.tracking.datasets import datasets_of
from matbind.tracking.record import (
    SEED,
    combination_tags,
    compared_settings,
    flatten_metrics,
    parted,
    result_digest,
    stored_settings,
    summarise,
    training_of,
)
from matbind.tracking.runs import PROCESS, RESULT

CARD = "model_card.md"
MODEL_VERSIONS = "mlflow.modelVersions"
VALIDATION_RECALL = "validation_recall_at_1"  # mean over the pairs with the hub, at the best epoch


class Registrar:
    """Registers combinations in one store."""

    def __init__(self, registry: Registry, *, features: Path, models: Path) -> None:
        """Take an open registry and remove what registrations that died left unfinished."""
        self._registry, self._client = registry, registry.client
        self._features, self._models = features, models
        for model in self._search("PENDING", f"name LIKE '{PREFIX}%'"):
            if is_gone(model.tags.get(PROCESS, "")):
                with registry.usable():
                    self._client.delete_logged_model(model.model_id)

    def lacks(self, combination: Combination) -> bool:
        """Return whether the store has no files of this very model yet, so that registering it has to make them."""
        digest = self._digest(combination)
        return self._version(registered_name(combination.name), digest) is None and self._logged(digest) is None

    def register(
        self, combination: Combination, evaluation: Mapping[str, Any], *, bundle: Path | None
    ) -> tuple[Version, bool]:
        """Register one trained combination, unless a version holds the very same model.

        Args:
            combination: which modalities.
            evaluation: content of its metrics file: the model is the training with its ``seed``.
            bundle: what `write_bundle` wrote for it; None if the store does not lack it.

        Returns:
            The version, and whether it is new. A known model whose evaluation has changed keeps its version and gets
            the evaluation anew.

        Raises:
            UserError: if the model, the features or the store cannot be used.
        """
        name, digest = registered_name(combination.name), self._digest(combination)
        version = self._version(name, digest)
        is_new = version is None
        if version is None:
            run_id, model_id = self._run_of(evaluation), self._logged(digest)
            if model_id is None:
                assert bundle is not None
                model_id = self._log(combination, digest, run_id, bundle)
            self._create_version(combination, evaluation, digest, model_id, run_id)
            version = self._version(name, digest)
            assert version is not None
        elif version.tags.get(EVALUATION_DIGEST) != result_digest(evaluation):  # it was evaluated anew
            tags = self._tags(combination, evaluation, digest)
            card = self._attach(version.model_id, combination, evaluation, tags)
            with self._registry.usable():
                self._client.update_model_version(name, str(version.number), description=card)
            self._registry.set_tags(version, tags)
            if (run_id := self._run_of(evaluation)) is not None:
                with self._registry.usable():
                    self._link(run_id, version.model_id, evaluation, trained_it=run_id == version.run_id)
        # MLflow's page of a model leads from here to the version; `mlflow.register_model` sets the same.
        link = json.dumps([{"name": name, "version": str(version.number)}])
        with self._registry.usable():
            self._client.set_logged_model_tags(version.model_id, {MODEL_VERSIONS: link})
        if self._registry.aliases(name).get(CHALLENGER) != version.number:
            self._registry.set_alias(version, CHALLENGER)
        return version, is_new

    def _digest(self, combination: Combination) -> str:
        return bundle_digest(combination, model_dir=self._directory(combination), features=self._features)

    def _directory(self, combination: Combination) -> Path:
        return chosen_directory(self._models, combination.name)

    def _version(self, name: str, digest: str) -> Version | None:
        return next((version for version in self._registry.versions(name) if version.digest == digest), None)

    def _logged(self, digest: str) -> str | None:
        """Return the logged model that a registration left which ended before it made its version."""
        whole = self._search("READY", f"tags.`{DIGEST}` = '{digest}'")
        return str(whole[0].model_id) if whole else None

    def _log(self, combination: Combination, digest: str, run_id: str | None, bundle: Path) -> str:
        settings = stored_settings(self._directory(combination))
        with self._registry.usable():
            model = self._client.create_logged_model(
                self._registry.experiment,
                name=registered_name(combination.name),
                source_run_id=run_id,
                tags={DIGEST: digest, PROCESS: process_fingerprint(), **_filled(combination_tags(combination))},
                params=compared_settings(settings, "combination", combination.modalities),
                model_type="matbind",
            )
        with tempfile.TemporaryDirectory() as directory:
            files = Path(directory) / "files"
            save_files(combination, bundle, files, model_id=model.model_id, run_id=run_id)
            with self._registry.usable():
                self._client.log_model_artifacts(model.model_id, str(files))
                self._client.finalize_logged_model(model.model_id, "READY")
        return str(model.model_id)

    def _create_version(
        self, combination: Combination, evaluation: Mapping[str, Any], digest: str, model_id: str, run_id: str | None
    ) -> None:
        from mlflow.exceptions import MlflowException

        name, tags = registered_name(combination.name), self._tags(combination, evaluation, digest)
        card = self._attach(model_id, combination, evaluation, tags)
        with self._registry.usable():
            if run_id is not None:
                self._link(run_id, model_id, evaluation, trained_it=True)
            try:
                about = f"{combination.name}: the alias {CHALLENGER} is the model that was trained last"
                self._client.create_registered_model(name, description=about)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            with self._registry.as_default_store():
                self._client.create_model_version(
                    name, f"models:/{model_id}", run_id=run_id, tags=tags, description=card, model_id=model_id
                )

    def _attach(
        self, model_id: str, combination: Combination, evaluation: Mapping[str, Any], tags: Mapping[str, str]
    ) -> str:
        """Put the evaluation and the model card beside a model's files, and return the card."""
        description, calibration = (
            self._registry.fetch(model_id, f"{MODEL_FILES}/{name}") for name in (MODEL, CONFIDENCE)
        )
        card = model_card(
            combination,
            evaluation,
            counts=read_json(description)["counts"],
            confidence=read_confidence(calibration),
            preset=tags["preset"],
            digest=tags[DIGEST],
        )
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / CARD).write_text(card)
            write_json(Path(directory) / EVALUATION_FILE, dict(evaluation))
            with self._registry.usable():
                self._client.log_model_artifacts(model_id, directory)
        return card[:LONGEST]

    def _tags(self, combination: Combination, evaluation: Mapping[str, Any], digest: str) -> dict[str, str]:
        """Return what a version is told apart by; the digest of the evaluation last: the others are set."""
        tags = {
            **combination_tags(combination),
            "data_md5": str(evaluation.get("data_md5") or "unknown"),
            "git_commit": str(evaluation.get("git_commit") or "unknown"),
            "preset": self._preset(combination),
            "run_id": str(evaluation.get("run_id") or "unknown"),
            SEED: str(evaluation["seed"]),
            SEEDS: " ".join(map(str, evaluation["seeds"])),
            "test_set_digest": test_set_digest(self._features),
            "weights_digest": weights_digest(self._directory(combination)),
            **{key: f"{value:.4f}" for key, value in parted(summarise(evaluation))[0].items()},
            DIGEST: digest,
            EVALUATION_DIGEST: result_digest(evaluation),
        }
        return _filled(tags)

    def _preset(self, combination: Combination) -> str:
        return str(stored_settings(self._directory(combination)).get("preset", "unknown"))

    def _link(self, run_id: str, model_id: str, evaluation: Mapping[str, Any], *, trained_it: bool) -> None:
        """Let the run name the model, as made or as evaluated by it, and the model show its recall on the run's data.

        The run has all figures; nothing is added to it twice.
        """
        from mlflow.entities import LoggedModelInput, LoggedModelOutput, Metric

        run, best_epoch = self._client.get_run(run_id), int(evaluation.get("best_epoch") or 0)
        if not trained_it:
            self._client.log_inputs(run_id, models=[LoggedModelInput(model_id)])
        elif model_id not in {output.model_id for output in run.outputs.model_outputs}:
            self._client.log_outputs(run_id, [LoggedModelOutput(model_id, step=best_epoch)])
        own = flatten_metrics(training_of(evaluation))
        recall = {key: value for key, value in own.items() if key.startswith("recall")}
        figures = {"test": (recall, 0)}
        if evaluation.get("validation_recall_at_1") is not None:
            figures["validation"] = ({VALIDATION_RECALL: float(evaluation["validation_recall_at_1"])}, best_epoch)
        at, datasets = int(run.info.end_time or run.info.start_time), datasets_of(run)
        metrics = []
        for context, (values, step) in figures.items():
            data = datasets.get(context)
            names = {} if data is None else {"dataset_name": data.name, "dataset_digest": data.digest}
            metrics += [Metric(k, v, at, step, model_id=model_id, **names) for k, v in parted(values)[0].items()]
        self._client.log_batch(run_id, metrics=metrics)

    def _run_of(self, evaluation: Mapping[str, Any]) -> str | None:
        """Return the run of the training that is the model, None if the store has none."""
        terms = f"tags.`{RESULT}` = '{result_digest(training_of(evaluation))}'"
        with self._registry.usable():
            run_ids = [run.info.run_id for run in self._client.search_runs([self._registry.experiment], terms)]
        return str(evaluation["run_id"] if evaluation.get("run_id") in run_ids else run_ids[0]) if run_ids else None

    def _search(self, status: str, terms: str) -> list[Any]:
        """Return the logged models in a state, which MLflow cannot search by."""
        search, experiments = self._client.search_logged_models, [self._registry.experiment]
        models = self._registry.all_pages(lambda token: search(experiments, filter_string=terms, page_token=token))
        return [model for model in models if str(model.status) == status]


def _filled(tags: Mapping[str, str]) -> dict[str, str]:
    """Leave out empty values, which not every store takes: a single has no spokes."""
    return {key: value for key, value in tags.items() if value}
