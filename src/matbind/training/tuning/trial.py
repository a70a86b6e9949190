"""One trial: a short training of a combination, judged on the validation split; and, once all is chosen, on test.

What a trial leaves behind is in a directory of its own. Its fingerprint says which settings, features and code it was
made with, so what is there is used again where it is what would come out, and a trial that died goes on from its
checkpoint. The stage runs a trial as a program of its own, with one thread: `python -m matbind.training.tuning.trial`.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.torch import load_file, save_file

from matbind.base.errors import UserError, shown
from matbind.base.files import FEATURES, read_json, write_json, written_whole
from matbind.base.model_files import CHECKPOINT, TRAINED, WEIGHTS
from matbind.base.processes import end_with_parent
from matbind.data.featurize import read_split
from matbind.modalities.combinations import Combination, parse_combination
from matbind.settings.load import load
from matbind.settings.params import Settings
from matbind.training.combination import fingerprint
from matbind.training.trainer import Trainer, hits_of, recalls_of
from matbind.training.tuning.space import apply_values

GIVEN, PRUNED, TEST, HITS = "trial.json", "pruned.json", "test.json", "hits.npz"
VALIDATION_RECALL = "validation_recall_at_1"
Figures = dict[str, float]


def prepare_directory(directory: Path, digest: str, values: Mapping[str, Any]) -> None:
    """Make a directory that of a trial with this fingerprint; what another one left there is removed."""
    given = directory / GIVEN
    if given.exists() and read_json(given)["fingerprint"] != digest:
        shutil.rmtree(directory)
    write_json(given, {"fingerprint": digest, "values": dict(values)})


def train_trial(
    settings: Settings,
    combination: Combination,
    *,
    features: Path,
    directory: Path,
    on_epoch: Callable[[Figures], None],
    log: Callable[[str], None],
) -> None:
    """Train, and write down what came out or that the training diverged.

    Args:
        settings: of the trial.
        combination: which modalities.
        features: the feature stores.
        directory: directory of the trial, with a checkpoint if it was interrupted.
        on_epoch: is given the figures of every epoch, those of an interrupted attempt again.
        log: is told the progress in sentences.

    Raises:
        UserError: if too few materials hold the combination.
    """
    trainer = Trainer(settings, combination, seed=settings.seed, features=features)
    n_told = 0

    def tell(_: Figures | None = None) -> None:
        nonlocal n_told
        for figures in trainer.progress.history[n_told:]:
            on_epoch(figures)
        n_told = len(trainer.progress.history)

    diverged = None
    try:
        model = trainer.fit(directory, on_epoch=tell, log=log)
    except (UserError, ValueError) as error:  # the loss was no number, or embeddings were none
        if all(bool(weight.isfinite().all()) for weight in trainer.model.parameters()):
            raise
        diverged = str(error)
    tell()
    progress = trainer.progress
    if diverged is None:
        hits = hits_of(trainer, model, read_split(features, "validation"))
        with written_whole(directory / HITS) as path, path.open("wb") as file:
            np.savez(file, allow_pickle=False, **hits)
        with written_whole(directory / WEIGHTS) as path:
            save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    written = {
        "fingerprint": read_json(directory / GIVEN)["fingerprint"],
        "diverged": diverged,
        "best_epoch": progress.best_epoch,
        "seconds": progress.seconds,
        "history": progress.history,
    }
    write_json(directory / TRAINED, written)
    (directory / CHECKPOINT).unlink(missing_ok=True)


def evaluate_trial(settings: Settings, combination: Combination, *, features: Path, directory: Path) -> None:
    """Write down recall@1 of the aligned pairs on the test split, with the weights a trial ended with."""
    trainer = Trainer(settings, combination, seed=settings.seed, features=features)
    trainer.average.load_state_dict(load_file(directory / WEIGHTS))
    hits = hits_of(trainer, trainer.average, read_split(features, "test"))
    digest = read_json(directory / GIVEN)["fingerprint"]
    write_json(directory / TEST, {"fingerprint": digest, "pairs": recalls_of(hits)})


def read_hits(directory: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Read the hits on the validation split that a trial wrote down."""
    with np.load(directory / HITS, allow_pickle=False) as arrays:
        return {pair: arrays[pair] for pair in arrays.files}


def read_if_of(path: Path, digest: str) -> dict[str, Any] | None:
    """Read a file of a trial, if it is there and was made with this fingerprint; else return None."""
    content: dict[str, Any] | None = read_json(path) if path.exists() else None
    return content if content is not None and content["fingerprint"] == digest else None


def main(arguments: list[str]) -> None:
    """Run a trial for the stage that started this process and ends it by closing its standard input."""
    end_with_parent()
    directory, task, name = arguments[:3]
    on_epoch, log = partial(_event, "epoch"), partial(_event, "log")
    with shown():
        run_trial(Path(directory), task, name, on_epoch=on_epoch, log=log)


def run_trial(
    directory: Path, task: str, name: str, *, on_epoch: Callable[[Figures], None], log: Callable[[str], None]
) -> None:
    """Train a trial of a named combination, or evaluate it if the task is `test`, in the directory of the project.

    Raises:
        UserError: if settings or features are others than those the trial was given for.
    """
    given = read_json(directory / GIVEN)
    settings = apply_values(load(), given["values"], source=str(directory / GIVEN))
    combination = parse_combination(name, settings.hub_order)
    if fingerprint(settings, combination, settings.seed, FEATURES) != given["fingerprint"]:
        raise UserError("params.yaml or the features changed while the stage was running, start it again")
    if task == "test":
        evaluate_trial(settings, combination, features=FEATURES, directory=directory)
    else:
        train_trial(settings, combination, features=FEATURES, directory=directory, on_epoch=on_epoch, log=log)


def _event(kind: str, content: Any) -> None:
    sys.stdout.write(json.dumps({kind: content}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
