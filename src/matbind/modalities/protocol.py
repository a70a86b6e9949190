"""What a modality is: the modules of its folder and what they have to offer.

`src/matbind/modalities/<name>/` holds one module a part. All are required but `perturbations` and `baseline`. The
classes here describe modules: a module satisfies one by having functions and classes of these names. A function may
take what it has no use for as ``**_``; whoever calls it gives all that is documented here. One test,
tests/modalities/test_protocol.py, checks every modality of the table, and a fifth that stands in tests/modalities/pdf.

A fifth modality: copy a folder, fill in its parts, add its line to `matbind.modalities.table.TABLE` and its block to
params.yaml (`modalities.<name>.transform`, `validate.<name>`, and in every preset `modalities.<name>.features` and
`.encoder`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from matbind.base.config import StrictModel

Excluded = tuple[str, str, str]
"""A value that is left out: material_id, modality, reason."""


class SettingsPart(Protocol):
    """`settings.py`: the block of the modality in params.yaml, typed.

    It imports nothing that computes, for every command reads the settings.
    A class `RecordsSettings` there is the section `prepare.<name>`; without it there is no such section.
    A function `check_records(settings, records)` there, raising a ValueError, is asked whether the features fit the
    section `prepare.<name>`.
    """

    FeaturesSettings: type[StrictModel]
    """The block `modalities.<name>.features` of a preset."""
    TransformSettings: type[StrictModel]
    """The block `modalities.<name>.transform`."""
    EncoderSettings: type[StrictModel]
    """The block `modalities.<name>.encoder` of a preset."""
    ValidationSettings: type[StrictModel]
    """The block `validate.<name>`, `max_quarantined_share` among its fields."""


class RecordsPart(Protocol):
    """`records.py`: the Parquet table of the modality, and one row of it as a Python value."""

    TABLE: str
    """Name of the table's file without its ending."""
    NOUN: str
    """What a reader calls several values, such as "powder patterns"."""
    COLUMNS: dict[str, Any]
    """Polars types of the columns the table must have, `material_id` first."""

    @staticmethod
    def value(row: Mapping[str, Any]) -> Any:
        """Make the value of one row, None where it has none; lists of numbers come as arrays."""

    @staticmethod
    def prepared(
        structures: pl.DataFrame, table: pl.DataFrame, *, settings: Any, seed: int
    ) -> tuple[pl.DataFrame, list[Excluded]]:
        """Bring the values of some structures to the form of the records directory, and make those that can be made.

        Args:
            structures: some rows of `structures.parquet`.
            table: the values a source brought for them; it may have more columns than `COLUMNS`.
            settings: the section `prepare.<name>` of the settings; None where there is none.
            seed: of all that is drawn.

        Returns:
            A table with `COLUMNS`, in the order of the structures, and what had to be left out.
        """


class FeaturesPart(Protocol):
    """`features.py`: from a value to arrays of a fixed layout.

    Where `fit` gives the directory of a language model as `checkpoint`, `save_checkpoint(checkpoint, out)` copies it.
    A function `objection(row, meta)` there says in a few words why the arrays of one material are of no such value
    (noise, nothing but background, words of another language); empty where nothing speaks against it.
    Where the encoder's size depends on what `fit` learns, `nominal_meta(settings, known)` returns a `meta` by which the
    parameters of an encoder of full size are counted; `known` is the `meta` of a data set, perhaps featurized by other
    settings, or empty. Without such a function it is what `fit` makes of no materials.
    """

    Featurizer: Callable[..., Any]
    """`Featurizer(settings, meta)`; called with a `Material`, it returns arrays by name, or None without a value."""

    @staticmethod
    def specs(settings: Any) -> dict[str, Any]:
        """Return the `ArraySpec` of every array."""

    @staticmethod
    def fit(materials: Iterable[Any], settings: Any) -> dict[str, Any]:
        """Learn what the features need of the training materials; plain values, stored as `meta` beside the arrays."""


class TransformPart(Protocol):
    """`transform.py`: from stored arrays to the tensors of one batch, augmented in training."""

    Transform: Callable[..., Any]
    """`Transform(store, settings)`; called as `transform(index, *, rng=None, strain=None)`, it returns the materials at
    these positions as the modality's own :class:`matbind.modalities.batch.Batch`, augmented if `rng` is given. An empty
    `index` gives a batch of nothing, which the encoder has to take."""


class EncoderPart(Protocol):
    """`encoder.py`: from a batch to vectors."""

    Encoder: Callable[..., Any]
    """`Encoder(settings, meta)`: a `torch.nn.Module` with `out_dim` whose `forward` takes the modality's batch."""


class ValidationPart(Protocol):
    """`validation.py`: measures of a value, by which it is judged.

    What they must be stands beside it in `expectations.json`, a suite of Great Expectations, see
    `matbind.data.validation.suites`.
    """

    Validator: Callable[..., Any]
    """`Validator(settings, crystals=..., records=...)` with `batch_rows`, `parameters` and `summarize(batch)`.

    `crystals` are the rows of sound structures, `records` is `prepare.<name>`, `parameters` are numbers that the suite
    names besides the settings, `batch` are rows of the table with their number `row`; their summary has the columns
    row, material_id and the measures. That of the structure itself takes None for both and has
    `compare(summary, structures)` besides, which measures all structures of the table against those of their formula.
    """


class QueryPart(Protocol):
    """`query.py`: what a user gives of the modality, as a value."""

    COLUMNS: dict[str, str]
    """Fields of a query record that hold this modality, each with what is expected there."""
    EXAMPLE: dict[str, str]
    """A small query, by column."""

    @staticmethod
    def read(column: str, text: str, *, records: Any) -> Any:
        """Make the value of one field.

        Args:
            column: which of `COLUMNS`.
            text: what stands there.
            records: the section `prepare.<name>` of the model's settings; None where there is none.

        Raises:
            ValueError: if it cannot be used.
        """

    @staticmethod
    def read_file(path: Path, *, records: Any, wavelength: str | None, n_atoms: int | None) -> tuple[Any, str]:
        """Make the value of a file, and say in a sentence what was decided while reading; it may be empty.

        Args:
            path: of the file.
            records: as for `read`.
            wavelength: of patterns whose file names none.
            n_atoms: of the cell that the states of a DOS are counted in, where the file does not say.

        Raises:
            UserError: if the file cannot be used; ValueError: the same, without its name.
        """


class FilesPart(Protocol):
    """`files.py`: which files hold the modality, and their content as a row of the source's table.

    Two more functions are optional: `blocks(path)` of the structure, the names of the data blocks of a file that may
    hold several, and `check_options(wavelength=...)`, which raises ValueError for what no file can be read with.
    """

    SUFFIXES: tuple[str, ...]
    """Endings or whole names of its files in small letters; of several files for one material the first in this order
    is read."""
    QUALIFIERS: tuple[str, ...]
    """What may stand before the ending to leave no doubt, such as `.dos` in `NAME.dos.csv`; the first is proposed."""
    COLUMNS: dict[str, Any]
    """Columns of :func:`row`, without material_id."""

    @staticmethod
    def likeness(path: Path) -> float:
        """Return how sure a file with one of `SUFFIXES` holds the modality, by its content.

        Returns:
            1 if it says so, such as by a header; 0.5 if nothing speaks against it; 0 if it does not.

        Raises:
            UserError: if the file cannot be read at all.
        """

    @staticmethod
    def row(path: Path, *, records: Any, wavelength: str | float | None, block: str | None) -> dict[str, Any]:
        """Read a file as a row of `COLUMNS`.

        Args:
            path: of the file.
            records: the section `prepare.<name>` of the settings; None where there is none.
            wavelength: of patterns whose file names none.
            block: of a file that holds several values.

        Raises:
            UserError: if it cannot be used.
        """


class PerturbationsPart(Protocol):
    """`perturbations.py`, optional: queries as a worse measurement would give them, for the robustness figures."""

    PERTURBATIONS: Mapping[str, Any]
    """A `matbind.modalities.perturbation.Perturbation` by name."""


class BaselinePart(Protocol):
    """`baseline.py`, optional: hand-made descriptors, what the linear baseline sees instead of a trained encoder."""

    @staticmethod
    def description(value: Any, structure: Any) -> Any:
        """Return what is kept of one value; None where it cannot be used."""

    @staticmethod
    def inputs(descriptions: Sequence[Any], *, train: npt.NDArray[np.bool_]) -> Any:
        """Return the matrix the regression sees, dense or sparse, one row a description.

        Args:
            descriptions: of materials that hold the modality.
            train: which of them are for training; only these are learned from.
        """
