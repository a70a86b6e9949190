"""Long-range readout of a crystal: virtual powder patterns with learned scattering powers.

Twelve neighbours tell a network nothing of the cell they repeat in. Structure factors do, whatever the choice of cell:
as Ewald message passing (Kosmala et al., ICML 2023) reads long range from reciprocal space, this reads it from the
merged reflections of a powder. Every channel gives each element a learned scattering power that falls with |g|, weighs
the crystal's partial structure factors with them, and draws the peaks on a grid of |g|; a small residual network reads
the patterns.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matbind.modalities.crystal.peaks import Patterns
from matbind.modalities.crystal.settings import GROUPS, ReciprocalSettings
from matbind.modalities.crystal.transform import LongRangeBatch
from matbind.modalities.layers import ResidualBlock, averages, channels_last

N_CELL = 8


class ReciprocalReadout(nn.Module):
    """Partial structure factors to a vector."""

    def __init__(self, settings: ReciprocalSettings, n_elements: int) -> None:
        super().__init__()
        self.settings = settings
        power = 0.5 + torch.arange(1.0, n_elements + 1)[:, None] / 50 * torch.exp(
            0.3 * torch.randn(1, settings.channels)
        )
        self.power = nn.Parameter(power * torch.exp(0.3 * torch.randn_like(power)))
        self.decay = nn.Parameter(torch.linspace(0.0, 3.0, settings.channels))
        widths = (settings.channels, *settings.widths)
        self.blocks = nn.Sequential(
            *(ResidualBlock(n_in, n_out, kernel=9, stride=4, groups=GROUPS) for n_in, n_out in pairwise(widths))
        )
        self.cell = nn.Sequential(nn.Linear(N_CELL, settings.cell), nn.GELU(), nn.Linear(settings.cell, settings.cell))
        self.read = nn.Linear(settings.widths[-1] * settings.pool, settings.width)
        self.out_dim = settings.width + settings.cell

    def patterns(self, batch: LongRangeBatch) -> Tensor:
        """Draw virtual powder patterns, shape (n_materials, channels, n_bins): square roots, each of mean square 1."""
        channels, n_bins, n_materials = self.settings.channels, self.settings.n_bins, len(batch.cell)
        first, second = batch.partial_pair.unbind(dim=1)
        weight = F.embedding(first - 1, self.power) * F.embedding(second - 1, self.power)
        peak = weight.new_zeros(len(batch.g), channels)
        peak = peak.index_add(0, batch.partial_peak, weight * batch.partial[:, None]).clamp(min=0)
        g = batch.g[:, None]
        peak = peak * torch.exp(-self.decay.abs() * g * g) / (g * g).clamp(min=1e-4)
        # Each peak is shared by the two bins beside it, so the pattern moves smoothly with strain.
        place = self.place(batch.g)
        left = place.floor()
        share = (place - left)[:, None]
        grid = peak.new_zeros(n_materials * (n_bins + 2), channels)
        column = batch.peak_material * (n_bins + 2) + left.long().clamp(-1, n_bins) + 1
        grid = grid.index_add(0, column, peak * (1 - share)).index_add(
            0, (column + 1).clamp(max=len(grid) - 1), peak * share
        )
        grid = grid.view(n_materials, n_bins + 2, channels)[:, 1:-1].transpose(1, 2)
        amplitude = torch.sqrt(grid + 1e-8 + 1e-3 * grid.detach().mean(dim=2, keepdim=True))
        return amplitude / amplitude.square().mean(dim=2, keepdim=True).sqrt()

    def compiled_patterns(self, batch: LongRangeBatch) -> Tensor:
        """Draw the same by compiled loops, on the CPU."""
        partials = batch.partial, batch.partial_peak, batch.partial_pair
        peaks = batch.g, self.place(batch.g), batch.peak_material, *partials
        drawn: Tensor = Patterns.apply(self.power, self.decay.abs(), len(batch.cell), self.settings.n_bins, *peaks)  # type: ignore[no-untyped-call]
        return drawn

    def place(self, g: Tensor) -> Tensor:
        """Return where on the grid the peaks are, in bins from the middle of the first."""
        return g / self.settings.g_stop_per_angstrom * self.settings.n_bins - 0.5

    def forward(self, batch: LongRangeBatch) -> Tensor:
        """Read crystals, giving (n_materials, out_dim)."""
        with torch.autocast(batch.g.device.type, enabled=False):
            patterns = self.compiled_patterns(batch) if batch.g.device.type == "cpu" else self.patterns(batch)
        read = self.read(averages(self.blocks(channels_last(patterns)), self.settings.pool))
        cell = self.cell(cell_features(batch.cell, batch.n_primitive_sites))
        return torch.cat([F.layer_norm(part, part.shape[1:]) for part in (read, cell)], dim=1)


def cell_features(cell: Tensor, n_sites: Tensor) -> Tensor:
    """Describe reduced cells, (n, 3, 3) in angstrom, and their sites, (n,), by numbers of order one, shape (n, N_CELL).

    These are logarithms of the three lengths, cosines of the three angles, and logarithms of the volume per site and of
    the sites.
    """
    length = cell.norm(dim=2)
    unit = cell / length[..., None]
    cosines = torch.stack([(unit[:, i] * unit[:, j]).sum(dim=1).abs() for i, j in ((1, 2), (0, 2), (0, 1))], dim=1)
    sites = n_sites.to(cell.dtype)[:, None]
    volume = torch.linalg.det(cell).abs()[:, None] / sites
    return torch.cat([2 * torch.log(length / 5), 2 * cosines, 2 * torch.log(volume / 18), torch.log(sites / 8)], dim=1)
