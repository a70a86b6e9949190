"""The settings of crystals: how they become a graph, how they are augmented, how large their encoder is."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from matbind.base.config import Range, StrictModel
from matbind.materials.formula import HEAVIEST_WITH_RADIUS

GROUPS = 8  # of the group normalisation of the reciprocal readout


class FeaturesSettings(StrictModel):
    """How a crystal becomes a graph.

    Attributes:
        cutoff_angstrom: neighbours farther than this are left out.
        max_neighbors: nearest neighbours kept of every site.
        g_stop_per_angstrom: largest |g| = 1/d of the partial structure factors; 0 keeps none.
    """

    cutoff_angstrom: float = Field(gt=0, le=20)
    max_neighbors: int = Field(ge=1, le=64)
    g_stop_per_angstrom: float = Field(ge=0.0, le=5.0)


class TransformSettings(StrictModel):
    """Augmentation of crystals beyond the shared strain.

    Attributes:
        jitter_angstrom: standard deviation of every site's random displacement, each component.
    """

    jitter_angstrom: float = Field(ge=0, le=0.5)


class ReciprocalSettings(StrictModel):
    """Size of the readout.

    Attributes:
        channels: number of learned sets of scattering powers.
        n_bins: points of the grid of |g|.
        g_stop_per_angstrom: last edge of the grid.
        widths: channels of the stages of the residual network, each a fourth as long as the one before.
        pool: equal pieces of the axis averaged apart at the end.
        width: features of the patterns.
        cell: features of the reduced primitive cell, beside those of the patterns.
    """

    channels: int = Field(ge=1, le=256)
    n_bins: int = Field(ge=16, le=8192)
    g_stop_per_angstrom: float = Field(gt=0, le=5)
    widths: tuple[int, ...] = Field(min_length=1)
    pool: int = Field(ge=1, le=64)
    width: int = Field(ge=1, le=4096)
    cell: int = Field(ge=1, le=4096)

    @model_validator(mode="after")
    def _widths_fit(self) -> Self:
        if any(width % GROUPS for width in self.widths):
            raise ValueError(f"widths are {list(self.widths)}, expected multiples of {GROUPS}")
        return self


class EncoderSettings(StrictModel):
    """Size of the crystal encoder.

    Attributes:
        width: features of a site.
        layers: number of convolutions.
        convolution: name of the layer in `matbind.modalities.crystal.convolution.CONVOLUTIONS`. Models that were
            trained before there was a choice have `SplitCGConv`.
        gaussians: number of Gaussians over which an edge length is expanded.
        gaussian_stop_angstrom: centre of the last Gaussian; the first is at 0.
        gaussian_width_angstrom: the expansion is exp(-(d - centre)^2 / width^2).
        reciprocal: the long-range readout beside the pooled sites; null for none, as in the paper.
    """

    width: int = Field(ge=4, le=4096)
    layers: int = Field(ge=1, le=32)
    convolution: Literal["SplitCGConv", "CGConv", "GATv2Conv", "TransformerConv"] = "SplitCGConv"
    gaussians: int = Field(ge=2, le=512)
    gaussian_stop_angstrom: float = Field(gt=0, le=20)
    gaussian_width_angstrom: float = Field(gt=0, le=5)
    reciprocal: ReciprocalSettings | None


class DuplicateSettings(StrictModel):
    """When two structures of one formula are the same: tolerances of pymatgen's StructureMatcher.

    Attributes:
        length: relative tolerance of the cell edges.
        site: largest root mean square displacement, in units of the mean distance of the atoms.
        angle_deg: tolerance of the cell angles.
        volume: volumes per atom farther apart than this share are not compared.
    """

    length: float = Field(gt=0, lt=1)
    site: float = Field(gt=0, lt=1)
    angle_deg: float = Field(gt=0, lt=45)
    volume: float = Field(gt=0, lt=1)


class ValidationSettings(StrictModel):
    """What a structure must be.

    Attributes:
        max_quarantined_share: the stage fails when a larger share of the structures is bad.
        heaviest_element: largest atomic number that is supported.
        min_distance_angstrom: shortest allowed distance of two atoms, of whatever elements.
        contact: smallest and largest allowed value of a structure's shortest distance in units of the sum of the two
            covalent radii; crystals of noble gases may exceed it.
        volume_per_atom_angstrom3: smallest and largest.
        volume_per_covalent_volume: smallest and largest cell volume in units of the atoms' covalent spheres.
        max_fractional: largest size of a fractional coordinate; larger ones are Cartesian by mistake.
        partial_occupancy: whether sites may be mixed or partly empty.
        min_site_occupancy: smallest allowed sum of a site's occupancies.
        duplicates: when two structures are the same; null does not look for duplicates.
    """

    max_quarantined_share: float = Field(ge=0, le=1)
    heaviest_element: int = Field(ge=1, le=HEAVIEST_WITH_RADIUS)
    min_distance_angstrom: float = Field(gt=0)
    contact: Range
    volume_per_atom_angstrom3: Range
    volume_per_covalent_volume: Range
    max_fractional: float = Field(ge=1)
    partial_occupancy: bool
    min_site_occupancy: float = Field(ge=0, le=1)
    duplicates: DuplicateSettings | None
