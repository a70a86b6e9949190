"""What is calculated for materials that come without it."""

from __future__ import annotations

from pydantic import Field

from matbind.base.config import StrictModel


class XtbSettings(StrictModel):
    """How a density of states is calculated; the values here are those of the embedded sample.

    Attributes:
        electronic_temperature_hartree: of the filling during the self-consistent cycles.
        accuracy: tblite's threshold factor, smaller is more accurate; 10 gives orbital energies to about 0.1 meV.
        max_cycles: of self-consistency.
        supercell_atoms: a primitive cell is repeated, its shortest vector first, while it has at most this many atoms.
        broadening_ev: standard deviation of the Gaussians.
        step_ev: of the energies.
        above_efermi_ev: where the energies end.
        below_efermi_ev: orbitals farther below the Fermi energy than this are spurious, and the result is refused.
    """

    electronic_temperature_hartree: float = Field(default=0.01, gt=0)
    accuracy: float = Field(default=10.0, gt=0)
    max_cycles: int = Field(default=250, ge=1)
    supercell_atoms: int = Field(default=32, ge=1)
    broadening_ev: float = Field(default=0.15, gt=0)
    step_ev: float = Field(default=0.05, gt=0)
    above_efermi_ev: float = Field(default=10.0, gt=0)
    below_efermi_ev: float = Field(default=45.0, gt=0)


class CompleteSettings(StrictModel):
    """What is calculated for materials that come without it.

    Attributes:
        text: descriptions by Robocrystallographer.
        dos: densities of states by GFN1-xTB.
        time_limit_s: longest time for one text or one density of states; a structure that needs more has none.
        xtb: how densities of states are calculated.
    """

    text: bool
    dos: bool
    time_limit_s: float = Field(gt=0)
    xtb: XtbSettings = XtbSettings()
