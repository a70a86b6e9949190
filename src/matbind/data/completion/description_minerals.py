"""Which named prototype a structure is: the answer of the stock matcher, which tries all prototypes on everything."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from pymatgen.core.structure_matcher import StructureMatcher
from robocrys.condense.fingerprint import get_structure_fingerprint
from robocrys.condense.mineral import MineralMatcher, ReducedAflowPrototypeMatcher

Proportions = tuple[int, ...]


@dataclass(frozen=True)
class _Prototype:
    mineral: str
    reduced: Any
    proportions: Proportions


class PreparedMineralMatcher(MineralMatcher):  # type: ignore[misc]
    """The stock matcher with its prototypes reduced once, compared only with structures of the same proportions."""

    def __init__(self) -> None:
        super().__init__()
        self._prototypes = [
            _Prototype(mineral, _reduced(structure), proportions(structure))
            for mineral, structure in zip(self.mineral_db["mineral"], self.mineral_db["structure"], strict=True)
        ]
        self._prototype_fingerprints = [np.array(values) for values in self.mineral_db["fingerprint"]]
        self._n_elements = self.mineral_db["n_elems"].to_numpy()
        self._structure: Any = None
        self._order = np.arange(0)
        self._distances = np.zeros(0)

    def _set_distance_matrix(self, structure: Any) -> None:
        if self._structure is structure:
            return
        fingerprint = get_structure_fingerprint(structure)
        self._distances = np.array([np.linalg.norm(known - fingerprint) for known in self._prototype_fingerprints])
        self._order = np.argsort(self._distances, kind="quicksort")  # the order of equals is that of pandas too
        self._structure = structure

    def get_aflow_matches(self, structure: Any) -> list[dict[str, Any]] | None:
        """Return prototypes that are the same structure but for the species, nearest fingerprint first."""
        self._set_distance_matrix(structure)
        wanted = proportions(structure)
        candidates = [i for i in self._order if self._prototypes[i].proportions == wanted]
        if not candidates:
            return None
        matcher = _CandidateMatcher([self._prototypes[i] for i in candidates], tolerances=self)
        matches: list[dict[str, Any]] | None = matcher.get_prototypes(structure)
        return matches

    def get_fingerprint_matches(
        self,
        structure: Any,
        max_n_matches: int | None = None,
        match_n_sp: bool = True,  # noqa: FBT001, FBT002
        mineral_name_constraint: str | None = None,
    ) -> list[dict[str, Any]] | None:
        """Return prototypes whose fingerprint is near, nearest first."""
        assert max_n_matches is None
        assert mineral_name_constraint is None
        self._set_distance_matrix(structure)
        near = [
            {"type": self._prototypes[i].mineral, "distance": self._distances[i]}
            for i in self._order
            if self._distances[i] < self.fingerprint_distance_cutoff
            and (not match_n_sp or self._n_elements[i] == structure.n_elems)
        ]
        return near or None

    def clear(self) -> None:
        """Forget the structure asked about last."""
        self._structure = None


class _CandidateMatcher(ReducedAflowPrototypeMatcher):  # type: ignore[misc]
    def __init__(self, candidates: list[_Prototype], *, tolerances: MineralMatcher) -> None:
        self._candidates = candidates
        self.initial_ltol = tolerances.initial_ltol
        self.initial_stol = tolerances.initial_stol
        self.initial_angle_tol = tolerances.initial_angle_tol
        self._last: tuple[Any, Any] = (None, None)

    def _match_prototype(self, structure_matcher: StructureMatcher, s: Any) -> list[dict[str, Any]]:
        if self._last[0] is not s:
            self._last = (s, _reduced(s))
        reduced = self._last[1]
        return [
            {"type": candidate.mineral}
            for candidate in self._candidates
            if len(candidate.reduced) == len(reduced)
            and structure_matcher.fit_anonymous(candidate.reduced, reduced, skip_structure_reduction=True)
        ]


def proportions(structure: Any) -> Proportions:
    """Return the reduced, anonymous formula as sorted counts: (1, 1, 3) for a perovskite.

    `StructureMatcher` cannot match two ordered structures anonymously if these differ.
    """
    counts = [round(amount) for amount in structure.composition.values()]
    return tuple(sorted(count // gcd(*counts) for count in counts))


def _reduced(structure: Any) -> Any:
    """Return what `StructureMatcher` makes of a structure before it compares it."""
    return structure.get_reduced_structure(reduction_algo="niggli").get_primitive_structure()
