"""Which materials count as perovskites: the paper's chalcogenides, and larger families where statistics mean more."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from matbind.materials.tolerance_factors import Judgement, count_judgements, judge

GOLDSCHMIDT_WINDOW = (0.825, 1.059)
CHALCOGENIDES = frozenset({"sulfide", "selenide"})
OXIDES_AND_HALIDES = frozenset({"oxide", "halide"})


@dataclass(frozen=True, slots=True)
class LabelSet:
    """One way of telling perovskites from other ABX3 compounds.

    Attributes:
        title: of a figure.
        criterion: in words.
        source: who says so.
        judge: judges a formula.
        families: families of anions it is about.
    """

    title: str
    criterion: str
    source: str
    judge: Callable[[str], Judgement]
    families: frozenset[str]

    def judgements(self, formulas: Sequence[str]) -> list[Judgement | None]:
        """Return one judgement a formula, None where it is not of the families."""
        judged = [self.judge(formula) for formula in formulas]
        return [judgement if judgement.family in self.families else None for judgement in judged]


@lru_cache(maxsize=1 << 18)
def _judge(formula: str, *, nearest_coordination: bool = False) -> Judgement:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No Pauling electronegativity")  # of noble gases, which are no ABX3
        return judge(formula, nearest_coordination=nearest_coordination)


def _judge_goldschmidt(formula: str) -> Judgement:
    judgement, (low, high) = _judge(formula), GOLDSCHMIDT_WINDOW
    return judgement if judgement.t is None else replace(judgement, perovskite=low < judgement.t < high, reason=None)


_T_STAR = "t* in 0.90 to 1.09 (S), 1.01 to 1.05 (Se)"
LABEL_SETS = MappingProxyType(
    {
        "chalcogenides": LabelSet(
            "Sulfides and selenides, as in the paper", _T_STAR, "Jess et al. 2022", _judge, CHALCOGENIDES
        ),
        "chalcogenides_wide": LabelSet(
            "Sulfides and selenides, more of them judged",
            f"{_T_STAR}; where no 12-fold radius of A is listed, that of the highest coordination listed",
            "Jess et al. 2022",
            partial(_judge, nearest_coordination=True),
            CHALCOGENIDES,
        ),
        "oxides_and_halides": LabelSet(
            "Oxides and halides", "tau below 4.18", "Bartel et al. 2019", _judge, OXIDES_AND_HALIDES
        ),
        "oxides_and_halides_goldschmidt": LabelSet(
            "Oxides and halides by Goldschmidt's factor",
            "t in 0.825 to 1.059",
            "Goldschmidt 1926; window of Bartel et al. 2019",
            _judge_goldschmidt,
            OXIDES_AND_HALIDES,
        ),
        "abx3": LabelSet(
            "All ABX3 compounds",
            f"{_T_STAR}; tau below 4.18 (O, halides)",
            "Jess et al. 2022; Bartel et al. 2019",
            _judge,
            CHALCOGENIDES | OXIDES_AND_HALIDES,
        ),
    }
)


def labels(name: str, formulas: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return labels of one set: 1 for a perovskite, 0 for another, NaN where it is not judged; shape (n_formulas,)."""
    judged = LABEL_SETS[name].judgements(formulas)
    return np.array([np.nan if one is None or one.reason else float(bool(one.perovskite)) for one in judged])


def describe_set(
    name: str, *, material_ids: Sequence[str], formulas: Sequence[str], split: npt.NDArray[np.str_]
) -> dict[str, Any]:
    """Describe what a set holds.

    Returns:
        ``title``, ``criterion``, ``source``; ``materials`` of all splits and of the test split: ``perovskite``,
        ``other``, ``not_judged`` and ``reasons``; ``members``: the judged ones with their factors.
    """
    label_set = LABEL_SETS[name]
    judged = label_set.judgements(formulas)
    sides = list(zip(judged, split, strict=True))
    return {
        **{key: getattr(label_set, key) for key in ("title", "criterion", "source")},
        "materials": {
            "all": count_judgements([judgement for judgement in judged if judgement]),
            "test": count_judgements([judgement for judgement, side in sides if judgement and side == "test"]),
        },
        "members": [
            {
                "material_id": material_id,
                "split": str(side),
                "perovskite": bool(judgement.perovskite),
                **{name: getattr(judgement, name) for name in ("formula", "t", "t_star", "tau")},
            }
            for material_id, (judgement, side) in zip(material_ids, sides, strict=True)
            if judgement is not None and judgement.reason is None
        ],
    }
