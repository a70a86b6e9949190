"""Where a training keeps its files, `models/<combination>/seed-<n>/`; a trial of the tuning has some of them.

A combination is trained once for each seed of `ablate.seeds`. The training that did best on the validation split is the
combination's model: the one that is registered, searched and promoted.
"""

from pathlib import Path

from matbind.base.errors import UserError
from matbind.base.files import read_json

STARTED = "started.json"
"""Fingerprint of the training that the directory is for, written before anything else."""
CHECKPOINT = "checkpoint.pt"
"""All that an interrupted training needs to go on; removed at its end."""
WEIGHTS = "model.safetensors"
"""Averaged weights of the best epoch."""
SETTINGS = "settings.json"
"""All settings of the training, and of the search in a registered model."""
HISTORY = "history.json"
"""Figures of every epoch."""
CURVES = "learning_curves.png"
"""Loss and validation recall by epoch."""
TEST_EMBEDDINGS = "test_embeddings.npz"
"""Embeddings of the test split, with those of both views of a single modality."""
ALL_EMBEDDINGS = "embeddings.npz"
"""Embeddings of every material."""
QUERIES = "queries.npz"
"""Embeddings of validation and test as a user might bring them: strained, worsened, cut short."""
NOVELTY = "novelty.safetensors"
"""What an encoder's outputs look like over the training materials."""
TRAINED = "trained.json"
"""Fingerprint of the training, its best epoch, its duration; what is written before it is complete."""
EVALUATION = "evaluation.json"
"""What the training reached on the test split, with the settings of the evaluation; written last."""
CHOSEN = "chosen.json"
"""Beside the directories of a combination's trainings: whose seed is the combination's model, and out of which."""


def training_directory(models: Path, combination: str, seed: int) -> Path:
    """Return where the training of a combination with a seed keeps its files, whether it is there or not."""
    return models / combination / f"seed-{seed}"


def chosen_directory(models: Path, combination: str) -> Path:
    """Return the directory of a combination's model: of the training that was chosen on the validation split.

    Raises:
        UserError: if the combination was not trained.
    """
    path = models / combination / CHOSEN
    if not path.exists():
        raise UserError(f"{path}: the file does not exist, expected a trained combination; run the ablate stage first")
    return training_directory(models, combination, read_json(path)["seed"])
