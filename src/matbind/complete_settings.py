"""What is calculated for materials that come without it."""

from __future__ import annotations

from pydantic import Field

from matbind.sources.xtb_settings import XtbSettings
from matbind.strict import StrictModel


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
