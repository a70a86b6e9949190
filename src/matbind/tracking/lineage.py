"""Where a trained model comes from, and the commands that make it again.

What was written beside the model as it was trained is read, from `models/<combination>/seed-<n>/` or from the MLflow
run of a registered version.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from matbind.base.errors import UserError
from matbind.base.files import MODELS, read_json
from matbind.base.model_files import CHOSEN, EVALUATION, SETTINGS, TRAINED, chosen_directory
from matbind.base.provenance import PROVENANCE, environment
from matbind.settings.params import flatten
from matbind.tracking.store import connect, reason_of, require_store

SHORT = 8
STAGES_BEFORE = ("featurize",)  # for a model trained without a lock file


@dataclass(frozen=True)
class Lineage:
    """Everything a model was made from."""

    model: str  # what was asked for
    combination: str  # the modalities it binds
    kept_in: str  # the directory or the MLflow run the rest was read from
    run_id: str | None  # MLflow's, None if it was trained without a store
    data_md5: str | None  # DVC's checksum of the data
    git_commit: str | None  # of the code, None if there was no repository
    git_dirty: bool  # whether tracked files differed from the commit
    patch: str | None  # these differences and new files of code; None if they were too large to keep
    settings: dict[str, str]  # all of them, flat
    stages: dict[str, dict[str, Any]]  # what DVC had locked of the stages before the training
    environment: dict[str, Any]  # interpreter, machine, packages
    seconds: float | None  # the training took
    best_epoch: int | None  # whose weights were kept
    fingerprint: str | None  # digest of settings, seed, features and code; equal for an equal training
    seed: int  # of the training


def lineage_of(model: str, *, models: Path = MODELS) -> Lineage:
    """Read where a model comes from.

    Args:
        model: a combination in `models`, the path of a training's directory, or a registered model as NAME@ALIAS or
            NAME/VERSION.
        models: directory of the models.

    Raises:
        UserError: if there is no such model, or nothing was written down of its origin.
    """
    for path in (models / model, Path(model)):
        model_dir = chosen_directory(path.parent, path.name) if (path / CHOSEN).exists() else path
        if (model_dir / TRAINED).exists():
            evaluation = model_dir / EVALUATION
            outcome = (read_json(evaluation) if evaluation.exists() else {}) | read_json(model_dir / TRAINED)
            return _lineage(model, str(model_dir), model_dir, outcome)
    name, separator, which = model.removeprefix("models:/").partition("@" if "@" in model else "/")
    if not separator:
        trained = ", ".join(sorted(path.parent.name for path in models.glob(f"*/{CHOSEN}"))) or "none"
        raise UserError(
            f"{model}: no such model is in {models} (trained: {trained}), expected one of them, or a registered model "
            "as NAME@ALIAS or NAME/VERSION"
        )
    with TemporaryDirectory() as directory:
        files = Path(directory)
        run_id, combination = _download(name, separator, which, files)
        outcome = read_json(files / f"{combination}.json") | {"run_id": run_id}
        return _lineage(model, f"MLflow run {run_id}", files, outcome)


def rows(lineage: Lineage) -> list[list[str]]:
    """Return the lineage for a terminal: names and values, without settings and packages."""
    code = lineage.git_commit or "unknown"
    if lineage.patch is None:
        code += " with changes too large to keep"
    elif lineage.patch:
        code += f" with {sum(line.startswith('diff --git ') for line in lineage.patch.splitlines())} changed files"
    machine = lineage.environment
    table = [
        ["model", lineage.combination],
        ["kept in", lineage.kept_in],
        ["MLflow run", lineage.run_id or "none"],
        ["data md5", lineage.data_md5 or "unknown"],
        ["git commit", code],
        ["preset, seed", f"{lineage.settings.get('preset', '?')}, {lineage.seed}"],
        ["fingerprint", lineage.fingerprint or "unknown"],
        ["training", "unknown" if lineage.seconds is None else f"{lineage.seconds:.0f} s, epoch {lineage.best_epoch}"],
        ["python", f"{machine['python']}, {len(machine['packages'])} packages"],
        ["machine", f"{machine['cpu']}, {machine['platform']}, threads {machine['threads'] or 'all'}"],
    ]
    for stage, lock in lineage.stages.items():
        table += [[f"{stage} wrote", f"{path} {md5}"] for path, md5 in lock["outs"].items()]
        table.append([f"{stage} settings", lock["params_digest"]])
    different = "; ".join(differences(machine))
    return [*table, ["this environment", different or "is the one it was trained in"]]


def differences(recorded: Mapping[str, Any]) -> list[str]:
    """Return how packages and interpreter of this process differ from recorded ones, a phrase each."""
    here = environment()
    installed = here["packages"] | {"python": here["python"]}
    used = {"python": recorded["python"], **recorded["packages"]}
    return [
        f"{name} {version} was used, {installed.get(name) or 'none'} is here"
        for name, version in used.items()
        if installed.get(name) != version
    ]


def rebuild_script(lineage: Lineage, *, interpreter: str) -> str:
    """Write commands for a shell that make the model again, in a git work tree beside the project's.

    Args:
        lineage: of the model.
        interpreter: of this environment, used if it is the one the model was trained in; else one is installed.

    Raises:
        UserError: if the commit of the code is not known.
    """
    if lineage.git_commit is None:
        raise UserError(
            f"{lineage.model}: it was trained outside a git repository, expected a commit to check out; "
            f"{PROVENANCE} beside the model holds its settings and packages"
        )
    place = f"../matbind-{(lineage.fingerprint or lineage.git_commit)[:SHORT]}"
    name = shlex.quote(lineage.combination)
    lines = [f"# Makes {lineage.combination} again in {place}; to be run in the project's directory."]
    if lineage.patch is None:
        lines.append("# Not exact: files were changed after the commit, and the changes were too large to keep.")
    lines += ["set -eu", "here=$PWD", f"git worktree add --detach {place} {lineage.git_commit}", f"cd {place}"]
    if lineage.patch:
        lines += ["git apply <<'END_OF_PATCH'", lineage.patch.rstrip("\n"), "END_OF_PATCH"]
    if differences(lineage.environment):
        version = ".".join(lineage.environment["python"].split(".")[:2])
        lines += [
            f"python{version} -m venv .venv",
            ".venv/bin/python -m pip install --constraint constraints.txt --editable '.[dev]'",
            'export PATH="$PWD/.venv/bin:$PATH"',
        ]
    else:
        lines.append(f'export PATH={shlex.quote(str(Path(interpreter).parent))}:"$PATH"')
    lines += ['export PYTHONPATH="$PWD/src"', 'dvc config --local cache.dir "$here/.dvc/cache"']
    if lineage.data_md5:
        lines.append(_demand(lineage.data_md5, "data.dvc", "data.dvc names other data than those it was trained on"))
        lines.append("dvc checkout data.dvc || dvc pull data.dvc")
    if preset := lineage.settings.get("preset"):
        lines.append(f"sed -i.before 's/^preset: [^ ]*/preset: {preset}/' params.yaml")
    lines.append(f"dvc repro {' '.join(lineage.stages or STAGES_BEFORE)}")
    threads = lineage.environment["threads"]
    limit = f"OMP_NUM_THREADS={threads} MKL_NUM_THREADS={threads} " if threads else ""
    lines.append(f"{limit}python -m matbind.cli train {name} --seed {lineage.seed}")
    if lineage.fingerprint:
        failure = "trained, but from other settings, features or code"
        lines.append(_demand(lineage.fingerprint, f"models/{name}/seed-{lineage.seed}/{TRAINED}", failure))
        lines.append("echo 'Made again from the same settings, features and code.'")
    return "\n".join(lines) + "\n"


def _lineage(model: str, kept_in: str, files: Path, outcome: Mapping[str, Any]) -> Lineage:
    record_file = files / PROVENANCE
    if not record_file.exists():
        raise UserError(
            f"{model}: {kept_in} holds no {PROVENANCE}, expected a model that was trained since its origin is written "
            "down; train it anew"
        )
    record, settings = read_json(record_file), flatten(read_json(files / SETTINGS))
    known: dict[str, Any] = {key: outcome.get(key) for key in ("run_id", "seconds", "best_epoch", "fingerprint")}
    known |= {"combination": outcome["combination"], "seed": outcome["seed"]}
    for key in ("data_md5", "git_commit", "git_dirty", "patch", "stages", "environment"):
        known[key] = record[key]
    return Lineage(model=model, kept_in=kept_in, settings=settings, **known)


def _download(name: str, separator: str, which: str, directory: Path) -> tuple[str, str]:
    """Fetch what the run of a registered version tells of its origin: id of the run, and its combination."""
    require_store()
    from mlflow.exceptions import MlflowException

    try:
        client, _ = connect()
        get = client.get_model_version_by_alias if separator == "@" else client.get_model_version
        run_id = str(get(name, which).run_id)
        combination = str(client.get_run(run_id).data.tags["combination"])
        kept = {artifact.path for artifact in client.list_artifacts(run_id)}
        for artifact in kept & {PROVENANCE, SETTINGS, f"{combination}.json"}:
            client.download_artifacts(run_id, artifact, str(directory))
    except (MlflowException, KeyError) as error:
        raise UserError(
            f"{name}{separator}{which}: no registered model of an ablation was found ({reason_of(error)}), expected "
            "NAME@ALIAS or NAME/VERSION"
        ) from error
    return run_id, combination


def _demand(text: str, file: str, failure: str) -> str:
    return f"grep -q {text} {file} || {{ echo '{failure}' >&2; exit 1; }}"
