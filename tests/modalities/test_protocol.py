"""Every modality of the table, and a fifth, is what matbind.modalities.protocol says."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError
from torch_geometric.data import Data

from matbind.modalities import protocol
from matbind.modalities.batch import Batch
from matbind.modalities.material import Material
from matbind.modalities.reading import query_material
from matbind.modalities.recognition import modality_of
from matbind.modalities.records import Records, columns_of, read_table, table_path
from matbind.modalities.store import MemoryStore, Store, write_store
from matbind.modalities.strain import Strain
from matbind.modalities.table import OPTIONAL_PARTS, TABLE, modality_names, part, structure_name, value_names
from matbind.settings.load import parse
from matbind.settings.params import Settings
from matbind.training.model import parameter_counts
from tests.checked import outcomes_of
from tests.factories import DATA, copper, needs_sample, raw_settings
from tests.modalities import fifth

NAMES = (*modality_names(), fifth.NAME)
VALUES = (*value_names(), fifth.NAME)
PARTS = {
    "settings": protocol.SettingsPart,
    "records": protocol.RecordsPart,
    "features": protocol.FeaturesPart,
    "transform": protocol.TransformPart,
    "encoder": protocol.EncoderPart,
    "validation": protocol.ValidationPart,
    "query": protocol.QueryPart,
    "files": protocol.FilesPart,
    "perturbations": protocol.PerturbationsPart,
    "baseline": protocol.BaselinePart,
}
ENERGIES = np.arange(-8, 8.25, 0.25)
ANGLES = np.arange(10, 80, 0.5)
FILES = {
    "crystal": ("salt.vasp", "NaCl\n5.64\n0 .5 .5\n.5 0 .5\n.5 .5 0\nNa Cl\n1 1\ndirect\n0 0 0\n.5 .5 .5\n"),
    "dos": (
        "salt.dos.json",
        json.dumps({"energies": [*ENERGIES], "densities": [*(ENERGIES < 0) * 2.0], "efermi": 0.5, "n_atoms": 2}),
    ),
    "pxrd": (
        "salt.xy",
        "# Wavelength = 1.5406\n" + "".join(f"{angle:.2f} {100 * (angle == 32):.1f}\n" for angle in ANGLES),
    ),
    "text": ("salt.txt", "NaCl is Halite, Rock Salt structured.\n"),
    fifth.NAME: ("salt.gr", "".join(f"{radius:.2f} {radius:.2f}\n" for radius in np.arange(1, 7, 0.2))),
}
"""A small file of every modality: name and content."""
N_MATERIALS = 3


@pytest.fixture(scope="module", autouse=True)
def settings() -> Iterator[Settings]:
    """All settings, of five modalities."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        fifth.add_to_table(monkeypatch)
        yield parse(fifth.with_fifth(raw_settings()))


def module(name: str, which: str) -> Any:
    return importlib.import_module(f"{TABLE[name]}.{which}")


def example(name: str, settings: Settings) -> Any:
    """The value of the first query record of `EXAMPLE`."""
    query = part(name, "query")
    column, text = next(iter(query.EXAMPLE.items()))
    return query.read(column, text, records=settings.records(name))


def store_of(name: str, settings: Settings, directory: Path | None, n: int = 2) -> Store:
    """The features of the example, several times; in memory where there is no directory."""
    features, block = part(name, "features"), settings.modalities[name].features
    materials = [query_material(name, example(name, settings)) for _ in range(n)]
    meta = features.fit(iter(materials), block)
    rows = list(map(features.Featurizer(block, meta), materials))
    if directory is None:
        return MemoryStore(features.specs(block), rows, meta)
    assert write_store(directory / name, features.specs(block), rows, meta=meta) == n
    return Store(directory / name)


def tensors(batch: Batch) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of a batch, and of the batches and graphs in it."""
    for field in dataclasses.fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Batch):
            yield from tensors(value)
        elif isinstance(value, Data):
            yield from value.to_dict().items()
        else:
            yield field.name, value


def assert_same(first: Batch, second: Batch) -> None:
    for (name, one), (_, other) in zip(tensors(first), tensors(second), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5, msg=lambda words, name=name: f"{name}: {words}")


@pytest.fixture(scope="module")
def tables(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared tables of a few materials of the sample that have all modalities."""
    directory = tmp_path_factory.mktemp("tables")
    ids = pl.read_parquet(DATA / "structures.parquet")["material_id"]
    for name in ("dos", "text"):
        ids = ids.filter(ids.is_in(pl.read_parquet(DATA / f"{name}.parquet")["material_id"].implode()))
    wanted = pl.col("material_id").is_in(ids.sort().head(N_MATERIALS).implode())
    structures = pl.read_parquet(DATA / "structures.parquet").filter(wanted)
    for name in NAMES:
        records, path = part(name, "records"), table_path(DATA, name)
        table = pl.read_parquet(path).filter(wanted) if path.exists() else pl.DataFrame(schema=columns_of(name))
        frame, excluded = records.prepared(structures, table, settings=settings.records(name), seed=0)
        assert excluded == []
        split = [pl.lit("train").alias("split")] if name == structure_name() else []
        frame.with_columns(split).write_parquet(table_path(directory, name))
    return directory


@pytest.mark.parametrize("which", PARTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_part_has_its_members_and_its_functions_take_what_is_documented(name: str, which: str) -> None:
    if importlib.util.find_spec(f"{TABLE[name]}.{which}") is None:
        assert which in OPTIONAL_PARTS
        return
    declared = vars(PARTS[which])
    functions = {key: value.__func__ for key, value in declared.items() if isinstance(value, staticmethod)}
    for member in (*declared.get("__annotations__", {}), *functions):
        assert hasattr(module(name, which), member), member
    for member, function in functions.items():
        parameters = inspect.signature(function).parameters.values()
        positional = [parameter for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
        named = {parameter.name: None for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
        inspect.signature(getattr(module(name, which), member)).bind(*positional, **named)


@pytest.mark.parametrize("which", ["features", "transform", "encoder", "validation"])
@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_setting_is_refused(name: str, which: str, settings: Settings) -> None:
    block = settings.validation[name] if which == "validation" else getattr(settings.modalities[name], which)
    assert type(block) is getattr(part(name, "settings"), f"{which.capitalize()}Settings")
    with pytest.raises(ValidationError, match="unknown_key"):
        type(block).model_validate(block.model_dump() | {"unknown_key": 1})


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("name", NAMES)
def test_a_query_becomes_a_finite_vector(name: str, where: str, n: int, settings: Settings, tmp_path: Path) -> None:
    store = store_of(name, settings, tmp_path if where == "disk" else None, n)
    transform = part(name, "transform").Transform(store, settings.modalities[name].transform)
    torch.manual_seed(0)
    encoder = part(name, "encoder").Encoder(settings.modalities[name].encoder, store.meta).eval()

    batch = transform(np.arange(n)).to("cpu")
    with torch.no_grad():
        vectors, none = encoder(batch), encoder(transform(np.arange(0)))

    assert isinstance(batch, Batch)
    assert vectors.shape == (n, encoder.out_dim)
    assert none.shape == (0, encoder.out_dim)
    assert torch.isfinite(vectors).all()
    torch.testing.assert_close(vectors[-1], vectors[0])


@pytest.mark.parametrize("name", NAMES)
def test_an_encoder_of_full_size_can_be_counted_without_data(name: str, settings: Settings) -> None:
    assert parameter_counts(settings)[name] > 0


@pytest.mark.parametrize("name", VALUES)
def test_a_material_without_the_value_has_no_features(name: str, settings: Settings) -> None:
    features, block = part(name, "features"), settings.modalities[name].features
    featurizer = features.Featurizer(block, features.fit(iter(()), block))
    assert featurizer(Material("m-1", "Cu", copper(), "train")) is None


@pytest.mark.parametrize("name", NAMES)
def test_at_strength_zero_augmentation_is_the_identity(name: str, settings: Settings) -> None:
    block = settings.modalities[name].transform
    zero = {key: 0 for key, value in block.model_dump().items() if isinstance(value, int | float)}
    store = store_of(name, settings, None)
    transform = part(name, "transform").Transform(store, type(block).model_validate(block.model_dump() | zero))
    unstrained = Strain(np.repeat(np.eye(3, dtype=np.float32)[None], 2, axis=0))

    plain = transform(np.arange(2))

    assert_same(transform(np.arange(2), rng=np.random.default_rng(0)), plain)
    assert_same(transform(np.arange(2), rng=np.random.default_rng(0), strain=unstrained), plain)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_generator_gives_the_same_batch(name: str, settings: Settings) -> None:
    transform = part(name, "transform").Transform(store_of(name, settings, None), settings.modalities[name].transform)
    assert_same(*(transform(np.arange(2), rng=np.random.default_rng(1)) for _ in range(2)))


def test_no_two_modalities_share_a_column_of_a_query() -> None:
    columns = [column for name in NAMES for column in part(name, "query").COLUMNS]
    assert len(set(columns)) == len(columns)
    for name in NAMES:
        assert set(part(name, "query").EXAMPLE) <= set(part(name, "query").COLUMNS)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_recognized_and_read_as_query_and_as_row(name: str, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / FILES[name][0]
    path.write_text(FILES[name][1], encoding="utf-8")
    files = part(name, "files")

    assert modality_of(path) == name
    assert files.likeness(path) > 0
    value, note = part(name, "query").read_file(path, records=settings.records(name), wavelength=None, n_atoms=None)
    assert type(value) is type(example(name, settings))
    assert isinstance(note, str)
    row = files.row(path, records=settings.records(name), wavelength=None, block=None)
    assert row.keys() == files.COLUMNS.keys()
    pl.DataFrame([{"material_id": "m-1"} | row], schema={"material_id": pl.String} | files.COLUMNS).write_parquet(
        table_path(tmp_path, name)
    )
    assert read_table(table_path(tmp_path, name), name)["material_id"].to_list() == ["m-1"]


@needs_sample
@pytest.mark.parametrize("name", NAMES)
def test_prepared_values_come_back_from_their_table(name: str, settings: Settings, tables: Path) -> None:
    features, block = part(name, "features"), settings.modalities[name].features

    materials = list(Records(tables).materials())

    assert len(materials) == N_MATERIALS
    assert all(material.values.keys() == set(VALUES) for material in materials)
    featurizer = features.Featurizer(block, features.fit(iter(materials), block))
    for material in materials:
        arrays = featurizer(material)
        assert arrays.keys() == features.specs(block).keys()
        value = material.structure if name == structure_name() else material.values[name]
        assert type(value) is type(example(name, settings))


@needs_sample
@pytest.mark.parametrize("name", VALUES)
def test_sound_values_are_accepted_and_empty_ones_refused(name: str, settings: Settings, tables: Path) -> None:
    crystals = read_table(table_path(tables, structure_name()), structure_name())
    sound = read_table(table_path(tables, name), name).with_row_index("row")
    empty = sound.with_columns(
        pl.lit(None, dtype=dtype).alias(column) for column, dtype in columns_of(name).items() if column != "material_id"
    )
    validator = part(name, "validation").Validator(
        settings.validation[name], crystals=crystals, records=settings.records(name)
    )

    assert validator.batch_rows >= 1
    judged = [outcomes_of(name, settings.validation[name], validator, batch) for batch in (sound, empty)]
    assert [outcome.name for outcome in judged[0] if not outcome.met] == []
    refused = {row for outcome in judged[1] if outcome.refuses for row in outcome.rows}
    assert refused == set(range(N_MATERIALS))
    assert len(validator.summarize(sound.head(0))) == 0
