"""The command line: look at settings, combinations, models and results, train one combination, open the tracking UI."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matbind import __version__
from matbind.base.errors import UserError, shown
from matbind.base.files import FEATURES, METRICS, MODELS, read_json
from matbind.cli.data import PARAMS, Params, data
from matbind.cli.models import EXAMPLES, models, promote, provenance, search
from matbind.cli.output import examples, print_table, say

if TYPE_CHECKING:
    from matbind.settings.params import Settings

SELDOM = (100_000, 20, 100)  # allocations, and how often younger objects are looked at before older ones
app = typer.Typer(
    name="matbind",
    help="Train, compare and look at multimodal embeddings of materials. `dvc repro` runs the whole pipeline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=examples("make run", "matbind status", "matbind search pattern.xy --model crystal+pxrd --wavelength CuKa"),
)
app.add_typer(data, name="data")
for command in (models, promote, provenance, search):
    app.command(epilog=EXAMPLES[command.__name__])(command)

Preset = Annotated[str | None, typer.Option("--preset", metavar="NAME", help="Use this preset, not the file's own.")]


def main() -> None:
    """Run the command line; a user's mistake ends it with one sentence and exit code 2."""
    # Imports make millions of objects that stay: to look for garbage among them, again and again and once more at the
    # end, is a third of the time of a short command.
    gc.set_threshold(*SELDOM)
    try:
        with shown():
            app()
    finally:
        gc.freeze()


def _print_version(asked: bool) -> None:  # noqa: FBT001  # as Typer calls it
    if asked:
        say(f"matbind {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(epilog=examples("matbind settings", "matbind settings --preset paper"))
def settings(params: Params = PARAMS, preset: Preset = None) -> None:
    """Print all settings as they will be used.

    The preset is laid over the rest of the file, and what was tuned for it over both.
    """
    print_table([], list(_settings_to_look_at(params, preset).flat().items()))


@app.command(epilog=examples("matbind combinations"))
def combinations(params: Params = PARAMS, preset: Preset = None) -> None:
    """List the combinations of modalities.

    A pair is aligned if it includes the hub; the pairs of two spokes are never seen in training and emerge.
    """
    from matbind.modalities.combinations import all_combinations
    from matbind.settings.load import load

    rows = []
    for combination in all_combinations(load(params, preset=preset).hub_order):
        kinds = (combination.aligned_pairs(), combination.emergent_pairs())
        pairs = [" ".join(f"{query}-{key}" for query, key in kind if query < key) or "-" for kind in kinds]
        rows.append([combination.name, combination.hub, " ".join(combination.spokes) or "-", *pairs])
    print_table(["combination", "hub", "spokes", "aligned pairs", "emergent pairs"], rows)


@app.command(epilog=examples("matbind model", "matbind model --preset paper"))
def model(params: Params = PARAMS, preset: Preset = None) -> None:
    """Print the parameters of each encoder.

    Trainable ones, of the encoders and of their projection heads.
    """
    from matbind.training.model import parameter_counts

    counts = parameter_counts(_settings_to_look_at(params, preset))
    rows = [[part, f"{count:,}"] for part, count in [*counts.items(), ("total", sum(counts.values()))]]
    print_table(["part", "parameters"], rows, right={1})


def _settings_to_look_at(params: Path, preset: str | None) -> Settings:
    """Return settings to print or count by; what was tuned is for the file's own preset and no other."""
    from matbind.settings.load import load, read
    from matbind.training.tuning.space import apply_tuned

    settings = load(params, preset=preset)
    return apply_tuned(settings) if settings.preset == read(params)["preset"] else settings


@app.command(
    epilog=examples(
        "matbind train crystal+text --seed 1", "torchrun --nproc-per-node 8 -m matbind.cli train crystal+dos+text"
    )
)
def train(
    combination: Annotated[str, typer.Argument(help="Modalities joined by +, such as crystal+dos+text.")],
    params: Params = PARAMS,
    preset: Preset = None,
    *,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of this training; by default the first of ablate.seeds.")
    ] = None,
    events: Annotated[
        bool, typer.Option("--events", hidden=True, help="Report in JSON lines and end with the parent process.")
    ] = False,
) -> None:
    """Train and evaluate one combination.

    Goes on from the last checkpoint if it was interrupted; what is there and still valid is kept. Needs the features
    (`dvc repro featurize`). Writes models/COMBINATION/seed-N/ and, of the seeds in ablate.seeds that are trained,
    metrics/combinations/COMBINATION.json; records the run in MLflow. On several GPUs: torchrun --nproc-per-node 8 -m
    matbind.cli train COMBINATION
    """
    if events:
        from matbind.base.processes import end_with_parent

        end_with_parent()
    from matbind.modalities.combinations import parse_combination
    from matbind.settings.load import load
    from matbind.tracking.tracker import Tracker
    from matbind.training.ablation import Training, recorded
    from matbind.training.combination import is_done, train_and_evaluate
    from matbind.training.distributed import process_group, rank
    from matbind.training.model import open_stores
    from matbind.training.pooled import pool
    from matbind.training.tuning.space import apply_tuned

    tuned = apply_tuned(load(params, preset=preset))
    try:
        parsed = parse_combination(combination, tuned.hub_order)
    except ValueError as error:
        raise UserError(f"combination {combination!r}: {error}") from error
    seed = tuned.ablate.seeds[0] if seed is None else seed
    on_epoch: Callable[[dict[str, float]], None] = lambda figures: say(json.dumps({"epoch": figures}))  # noqa: E731
    with process_group():
        if events:
            log: Callable[[str], None] = lambda line: say(json.dumps({"log": line}))  # noqa: E731
            train_and_evaluate(tuned, parsed, seed=seed, on_epoch=on_epoch, log=log)
            return
        open_stores(FEATURES)  # says what is missing before anything starts
        if is_done(tuned, parsed, seed=seed):
            if rank() == 0:
                say(f"{parsed.name}: already trained")
        elif rank():
            train_and_evaluate(tuned, parsed, seed=seed)  # writes nothing
        else:
            tracker = Tracker(warn=say)
            with recorded(tracker, None, tuned, Training(parsed, seed)) as run_id:
                train_and_evaluate(tuned, parsed, seed=seed, on_epoch=partial(tracker.log_epoch, run_id), log=say)
        if rank() == 0:
            pool(tuned, parsed)
            if seed not in tuned.ablate.seeds:
                say(f"{params}: ablate.seeds does not name {seed}, its figures are in no metrics file")


@app.command(epilog=examples("matbind status"))
def status() -> None:
    """Print what is trained and how it does.

    Recall@1 on the test split, mean over the pairs of each kind.
    """
    from matbind.modalities.combinations import all_combinations
    from matbind.tracking.record import KINDS, summarise

    rows, asked = [], _asked_for()
    for combination in all_combinations():
        path = METRICS / f"{combination.name}.json"
        evaluation = read_json(path) if path.exists() else {}
        if evaluation:
            state = "failed" if "error" in evaluation else "done"
        else:
            state = "-" if combination.name in asked else "left out"
        means = summarise(evaluation)
        recalls = [means.get(f"recall_at_1.{kind}_mean") for kind in KINDS]
        rows.append([combination.name, state, *("-" if recall is None else f"{recall:.3f}" for recall in recalls)])
        if "error" in evaluation:
            rows[-1].append(str(evaluation["error"]))
    print_table(["combination", "state", *KINDS], rows)
    states = [row[1] for row in rows]
    if "left out" in states:
        say(
            f"{PARAMS}: ablate.combinations leaves {states.count('left out')} out; what was trained of them is kept in "
            f"{MODELS}, and null brings all back"
        )
    if not {"done", "failed"} & set(states):
        say("nothing is trained yet: make run")


def _asked_for() -> set[str]:
    """Return the names of the combinations that params.yaml asks for, without reading the rest of it."""
    from matbind.modalities.combinations import all_combinations, parse_combination
    from matbind.settings.load import read

    names = (read(PARAMS).get("ablate") or {}).get("combinations")
    if names is None:
        return {combination.name for combination in all_combinations()}
    try:
        return {parse_combination(name).name for name in names}
    except ValueError as error:
        raise UserError(f"{PARAMS}: ablate.combinations: {error}") from error


@app.command(epilog=examples("matbind ui", "matbind ui --port 5001"))
def ui(
    port: Annotated[int, typer.Option(help="Port of the page on this machine.")] = 5000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Open the MLflow pages of the runs, the combinations ranked by recall.

    Runs that only files tell of, as after `dvc pull`, are added first. MLFLOW_TRACKING_URI names another store, and
    MLFLOW_EXPERIMENT_NAME another experiment than matbind.
    """
    import os
    import socket
    from contextlib import suppress
    from importlib.util import find_spec

    from matbind.tracking.store import experiment_of_runs, tracking_uri
    from matbind.tracking.tracker import Tracker

    if find_spec("mlflow") is None:
        raise ModuleNotFoundError(name="mlflow")
    uri = tracking_uri()
    served_elsewhere = uri.startswith("http")
    if not served_elsewhere:
        with suppress(OSError), socket.create_connection((host, port), timeout=1):
            raise UserError(f"--port {port}: something is served on it already, expected a free one")
    tracker = Tracker(warn=say)
    if added := tracker.backfill(MODELS, METRICS):
        say(f"{added} runs added from files")
    page = uri.rstrip("/") if served_elsewhere else f"http://{host}:{port}"
    if ranked := tracker.comparison_path():
        say(f"the combinations by recall: {page}{ranked}")
    say(f"all runs: {page}, experiment {experiment_of_runs()}; models: {page}/#/models")
    if served_elsewhere:
        return
    say("Ctrl-C ends it")
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", host, "--port", str(port)]
    sys.stdout.flush()
    os.execv(sys.executable, command)  # noqa: S606
