"""The featurize stage: records to memory-mapped arrays, one store a modality, and an index of the materials."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.base.errors import UserError
from matbind.base.files import written_whole
from matbind.base.parallel import SerialPool, Workers
from matbind.modalities.material import Material
from matbind.modalities.records import Records
from matbind.modalities.store import write_store
from matbind.modalities.table import modality_names, part
from matbind.settings.params import Settings

Arrays = dict[str, npt.NDArray[Any]]
Featurized = tuple[str, Arrays | None, str | None]  # id, arrays, and why there are none
INDEX = "index.parquet"
CHUNK = 256  # materials handed to a worker at a time


def featurize(
    settings: Settings, *, records: Path, out: Path, log: Callable[[str], None], workers: Workers | None = None
) -> dict[str, Any]:
    """Write `out/<modality>/` for every modality and `out/index.parquet` (material_id, formula, split).

    A value that cannot be featurized is left out, counted, and listed in `out/failed.parquet` with the reason. The
    index is written last: without it the stores are not taken for finished.

    Args:
        settings: all settings; `modalities.*.features` are used.
        records: the records directory.
        out: the directory of the stores.
        log: is told the progress in sentences.
        workers: compute the arrays; None for this process alone. The stores are the same whoever did the work.

    Returns:
        How many materials hold each modality, and how many values failed.

    Raises:
        UserError: if the records are missing or unreadable, or no material has a usable value of a modality.
    """
    data = Records(records)
    out.mkdir(parents=True, exist_ok=True)
    (out / INDEX).unlink(missing_ok=True)
    counts: dict[str, Any] = {}
    failed: list[tuple[str, str, str]] = []
    for name in modality_names():
        module = part(name, "features")
        own = settings.modalities[name].features
        attached = () if name == "crystal" else (name,)
        training = (m for m in data.materials(only=attached) if m.split == "train")
        meta = module.fit(training, own)
        rows = _rows(name, module.Featurizer(own, meta), data.materials(only=attached), workers or SerialPool(), failed)
        counts[name] = write_store(out / name, module.specs(own), rows, meta=meta)
        log(f"{name}: {counts[name]} of {len(data)} materials")
        if not counts[name]:
            reason = next((f" ({why})" for _, of, why in failed if of == name), "")
            raise UserError(f"{records}: no material has a usable {name}, expected at least one{reason}")
    schema = {"material_id": pl.String, "modality": pl.String, "reason": pl.String}
    with written_whole(out / "failed.parquet") as path:
        pl.DataFrame(failed, schema=schema, orient="row").write_parquet(path)
    with written_whole(out / INDEX) as path:
        data.structures.select("material_id", "formula", "split").write_parquet(path)
    return counts | {"failed": len(failed)}


def _rows(
    name: str, featurizer: Any, materials: Iterator[Material], workers: Workers, failed: list[tuple[str, str, str]]
) -> Iterator[Arrays | None]:
    chunks = iter(lambda: list(islice(materials, CHUNK)), [])
    for chunk in workers.map(partial(_many, featurizer), chunks):
        for material_id, arrays, reason in chunk:
            if reason is not None:
                failed.append((material_id, name, reason))
            yield arrays


def _many(featurizer: Any, materials: list[Material]) -> list[Featurized]:
    return [_one(featurizer, material) for material in materials]


def _one(featurizer: Any, material: Material) -> Featurized:
    try:
        return material.material_id, featurizer(material), None
    except ValueError as error:
        return material.material_id, None, str(error)


def read_split(features: Path, side: str) -> npt.NDArray[np.int64]:
    """Positions of one split's materials in the stores, ascending."""
    path = features / INDEX
    if not path.exists():
        raise UserError(f"{path}: the file does not exist, run the featurize stage first")
    return np.flatnonzero(pl.read_parquet(path, columns=["split"])["split"].to_numpy() == side)
