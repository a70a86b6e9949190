"""The pages of a tuning, one of text and one to point at, and its figures as Optuna draws them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matbind.base.files import written_whole
from matbind.report.style import COLOURS, DOTS_PER_INCH, INK
from matbind.report.template import render
from matbind.training.tuning.result import short, verdict

RECALL = "validation recall@1, mean of the aligned pairs"


def write_tuning(result: Mapping[str, Any], study: Any, directory: Path) -> list[Path]:
    """Write tuning.md and, if there was a tuning, tuning.html and the figures.

    Args:
        result: content of metrics/tuning.json.
        study: the Optuna study of the same trials; None where tuning is switched off.
        directory: where to write.

    Returns:
        The paths of all files.
    """
    text = directory / "tuning.md"
    with written_whole(text) as partial:
        partial.write_text(document(result), encoding="utf-8")
    if study is None:
        return [text]
    return [text, write_page(result, study, directory / "tuning.html"), *draw(result, study, directory)]


def document(result: Mapping[str, Any]) -> str:
    """Write the page of text of the content of metrics/tuning.json."""
    states = [trial["state"] for trial in result.get("trials", [])]
    return render("tuning.md.j2", result=result, verdict=verdict(result), states=states, short=short)


def draw(result: Mapping[str, Any], study: Any, directory: Path) -> list[Path]:
    """Draw history.png, importance.png and slices.png into a directory, and return their paths."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt
    from optuna.exceptions import ExperimentalWarning

    plt.switch_backend("agg")  # Optuna draws by pyplot, which would open windows
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, artist in (("history", _history), ("importance", _importance), ("slices", _slices)):
        with mpl.rc_context(), warnings.catch_warnings():  # Optuna changes the style of all figures to come
            warnings.simplefilter("ignore", ExperimentalWarning)
            figure = artist(result, study)
            paths.append(directory / f"{name}.png")
            figure.savefig(paths[-1], dpi=DOTS_PER_INCH, bbox_inches="tight")
            plt.close(figure)
    return paths


def write_page(result: Mapping[str, Any], study: Any, path: Path) -> Path:
    """Write the figures of Optuna as one HTML page that needs no network: plotly's script is in it."""
    from optuna import visualization

    figures = {
        "Recall by trial": visualization.plot_optimization_history(study),
        "Recall by epoch": visualization.plot_intermediate_values(study),
    }
    if result["importance"]:
        figures["Share in the spread of recall"] = visualization.plot_param_importances(study, **_evaluator(result))
    figures["One setting at a time"] = visualization.plot_slice(study)
    figures["All settings of a trial"] = visualization.plot_parallel_coordinate(study)
    parts = []
    for position, (title, figure) in enumerate(figures.items()):
        figure.update_layout(title=title)
        # Named by their position, not at random: the same tuning gives the same page.
        parts.append(figure.to_html(full_html=False, include_plotlyjs=position == 0, div_id=f"figure-{position}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render("tuning.html.j2", ink=INK, verdict=verdict(result), figures=parts) + "\n", encoding="utf-8")
    return path


def _history(result: Mapping[str, Any], study: Any) -> Any:
    from optuna.visualization.matplotlib import plot_optimization_history

    axes: Any = plot_optimization_history(study, target_name=RECALL)
    start = result["start"]["validation_recall_at_1"]
    if start is not None:
        axes.axhline(start, color=INK, linewidth=1, linestyle=":", label="start (trial 0)")
        axes.legend()
    axes.set(title=f"Recall by trial ({_counted(result)})", ylabel="validation recall@1")
    axes.figure.set_size_inches(9, 4.5)
    return axes.figure


def _importance(result: Mapping[str, Any], study: Any) -> Any:
    from matplotlib.figure import Figure
    from optuna.visualization.matplotlib import plot_param_importances

    if not result["importance"]:
        figure = Figure(figsize=(8, 2))
        figure.text(0.5, 0.5, "too few trials finished to say", ha="center", va="center")
        return figure
    axes: Any = plot_param_importances(study, **_evaluator(result))
    axes.set_title(f"Share in the spread of recall, functional ANOVA ({_counted(result)})", loc="left", fontsize=11)
    axes.set(xlabel="share", xlim=(0, 1.08), ylabel="")
    axes.get_legend().remove()
    axes.figure.set_size_inches(8, 1.4 + 0.5 * len(result["space"]))
    return axes.figure


def _slices(result: Mapping[str, Any], study: Any) -> Any:
    from matplotlib.ticker import LogLocator, NullFormatter
    from numpy import atleast_1d
    from optuna.visualization.matplotlib import plot_slice

    plots: Any = plot_slice(study, target_name="validation recall@1")  # axes, or several of them
    row = atleast_1d(plots)
    rings = {"start": (0, INK), "best": (result["best"], COLOURS[1])}
    for axes in row:
        name = axes.get_xlabel()
        if axes.get_xscale() == "log":
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        for label, (number, colour) in rings.items():
            recall, value = result["trials"][number]["recall_at_1"], result["trials"][number]["values"][name]
            x = value if result["choices"].get(name) is None else repr(value)  # as Optuna names choices
            if recall is not None:
                ring = {"s": 150, "facecolor": "none", "edgecolor": colour, "linewidth": 1.6, "label": label}
                axes.scatter([x], [recall], **ring)
    row[0].legend(handles=[points for points in row[0].collections if points.get_label() in rings])
    row[0].figure.suptitle(f"One setting at a time ({_counted(result)})")
    row[0].figure.set_size_inches(2.0 + 3.8 * len(row), 4.4)
    return row[0].figure


def _evaluator(result: Mapping[str, Any]) -> dict[str, Any]:
    from optuna.importance import FanovaImportanceEvaluator

    return {"evaluator": FanovaImportanceEvaluator(seed=result["seed"])}


def _counted(result: Mapping[str, Any]) -> str:
    finished = sum(trial["state"] == "complete" for trial in result["trials"])
    return f"{finished} of {len(result['trials'])} trials finished"
