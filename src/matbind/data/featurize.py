"""The featurize stage: records to memory-mapped arrays, one store a modality, and an index of the materials."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.base.errors import UserError
from matbind.base.files import read_json, write_json, written_whole
from matbind.base.parallel import SerialPool, Workers
from matbind.modalities.code import code_digest
from matbind.modalities.material import Material
from matbind.modalities.records import Records, table_path
from matbind.modalities.store import MANIFEST, Store, write_store
from matbind.modalities.table import TABLE, modality_names, part, structure_name
from matbind.settings.params import Settings

Arrays = dict[str, npt.NDArray[Any]]
Featurized = tuple[str, Arrays | None, str | None]  # id, arrays, and why there are none
INDEX, ORIGINS = "index.parquet", "origins.json"
CHUNK = 256  # materials handed to a worker at a time


def featurize(
    settings: Settings, *, records: Path, out: Path, log: Callable[[str], None], workers: Workers | None = None
) -> dict[str, Any]:
    """Write `out/<modality>/` for every modality and `out/index.parquet` (material_id, formula, split).

    A value that cannot be featurized is left out, counted, and listed in `out/failed.parquet` with the reason. A store
    that is there of the same tables, settings and code is kept, so a stopped run goes on with the next modality, and
    other settings of one modality make that one anew. The index is written last: without it the stores are not taken
    for finished.

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
    origins: dict[str, Any] = read_json(out / ORIGINS) if (out / ORIGINS).exists() else {}
    counts: dict[str, Any] = {}
    for name in modality_names():
        fingerprint = _fingerprint(name, settings, records)
        kept = origins.get(name, {}).get("fingerprint") == fingerprint and (out / name / MANIFEST).exists()
        if not kept:
            failures = _write(name, settings, data, out / name, workers or SerialPool())
            origins[name] = {"fingerprint": fingerprint, "failures": failures}
            write_json(out / ORIGINS, origins)
        counts[name] = int(Store(out / name).present.sum())
        log(f"{name}: {counts[name]} of {len(data)} materials{' (known from an earlier run)' if kept else ''}")
        if not counts[name]:
            reason = next((f" ({why})" for _, why in origins[name]["failures"]), "")
            raise UserError(f"{records}: no material has a usable {name}, expected at least one{reason}")
    failed = [(of, name, reason) for name in modality_names() for of, reason in origins[name]["failures"]]
    schema = {"material_id": pl.String, "modality": pl.String, "reason": pl.String}
    with written_whole(out / "failed.parquet") as path:
        pl.DataFrame(failed, schema=schema, orient="row").write_parquet(path)
    with written_whole(out / INDEX) as path:
        data.structures.select("material_id", "formula", "split").write_parquet(path)
    return counts | {"failed": len(failed)}


def _fingerprint(name: str, settings: Settings, records: Path) -> str:
    """Digest of all that the store of a modality depends on: its tables, its settings, the code."""
    package = TABLE[name].partition(".")[2]
    block = settings.modalities[name].features.model_dump(mode="json")
    digest = hashlib.sha256(json.dumps([name, block, code_digest(f"{package}.features")], sort_keys=True).encode())
    for path in dict.fromkeys(table_path(records, table) for table in (structure_name(), name)):
        if path.exists():  # reading it says in a sentence that it does not
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _write(name: str, settings: Settings, data: Records, store: Path, workers: Workers) -> list[tuple[str, str]]:
    """Write the store of one modality, and say which materials have none for a fault and why."""
    features = part(name, "features")
    block = settings.modalities[name].features
    meta = features.fit((m for m in data.materials(only=(name,)) if m.split == "train"), block)
    failures: list[tuple[str, str]] = []
    rows = _rows(features.Featurizer(block, meta), data.materials(only=(name,)), workers, failures)
    write_store(store, features.specs(block), rows, meta=meta)
    return failures


def _rows(
    featurizer: Any, materials: Iterator[Material], workers: Workers, failures: list[tuple[str, str]]
) -> Iterator[Arrays | None]:
    chunks = iter(lambda: list(islice(materials, CHUNK)), [])
    for chunk in workers.map(partial(_many, featurizer), chunks):
        for material_id, arrays, reason in chunk:
            if reason is not None:
                failures.append((material_id, reason))
            yield arrays


def _many(featurizer: Any, materials: list[Material]) -> list[Featurized]:
    featurized: list[Featurized] = []
    for material in materials:
        try:
            featurized.append((material.material_id, featurizer(material), None))
        except ValueError as error:
            featurized.append((material.material_id, None, str(error)))
    return featurized


def read_split(features: Path, side: str) -> npt.NDArray[np.int64]:
    """Positions of one split's materials in the stores, ascending."""
    path = features / INDEX
    if not path.exists():
        raise UserError(f"{path}: the file does not exist, run the featurize stage first")
    return np.flatnonzero(pl.read_parquet(path, columns=["split"])["split"].to_numpy() == side)
