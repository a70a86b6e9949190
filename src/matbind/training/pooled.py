"""The trainings of a combination put together: figures that are means over seeds, and which of them is its model.

A combination is trained once for each seed of `ablate.seeds`. Its metrics file holds what each training reached and the
means over all; its model is the training that did best on the validation split, never on the test split. A seed that is
taken from the list leaves the others as they are, and its own training where it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matbind.base.files import FEATURES, METRICS, MODELS, read_json, write_json
from matbind.base.model_files import CHOSEN, EVALUATION, training_directory
from matbind.modalities.combinations import Combination
from matbind.settings.params import Settings
from matbind.training.combination import evaluate, is_done
from matbind.training.embeddings import read_test_embeddings


def pool(
    settings: Settings,
    combination: Combination,
    *,
    features: Path = FEATURES,
    models: Path = MODELS,
    metrics: Path = METRICS,
) -> dict[str, Any]:
    """Write the metrics file of a combination from those of its trainings that are done, and choose its model.

    Args:
        settings: all settings; `ablate.seeds` says which trainings count.
        combination: which modalities.
        features: the feature stores.
        models: holds the trainings; which of them is the model is written there too.
        metrics: `metrics/<combination>.json` is written here.

    Returns:
        As in the file: what the chosen training is (its seed, run, best epoch, ...), but for ``pairs``, ``fused`` and
        ``control``, which are the means over all; the ``seeds``; and in ``trainings`` the evaluation of each. Empty if
        none is done.
    """
    seeds = settings.ablate.seeds
    done = [s for s in seeds if is_done(settings, combination, seed=s, features=features, models=models)]
    if not done:
        return {}
    directories = [training_directory(models, combination.name, seed) for seed in done]
    trainings = [read_json(directory / EVALUATION) for directory in directories]
    path = metrics / f"{combination.name}.json"
    known = dict(read_json(path)) if path.exists() else {}
    if known.get("trainings") != trainings:
        chosen = max(trainings, key=lambda training: float(training["validation_recall_at_1"]))
        means = {}
        if len(trainings) > 1:
            means = evaluate(settings, combination, [read_test_embeddings(directory) for directory in directories])
        known = {**chosen, **means, "seeds": done, "trainings": trainings}
        write_json(path, known)
    write_json(models / combination.name / CHOSEN, {"seed": known["seed"], "of": done})
    return known
