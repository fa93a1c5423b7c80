"""Pairs of a stepped and an observed sample: the step, both movements, and the difference of two movements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

#: Relative disagreement of the two sides, and share of rounding, up to which a movement is decided, by precision.
DECIDED = {torch.float64: 2e-4, torch.float32: 2e-3}
#: Rounding units that an engine's movements may have if the right one is zero.
ROUNDINGS = 16
#: A movement below this share of the stepped sample's own is compared as if it had this size.
FLOOR = 1e-2

Layers = dict[str, Tensor]


@dataclass(frozen=True)
class PairMovement:
    """Movements of a stepped and an observed sample under one step, per unit of its size.

    Attributes
    ----------
    own, moved
        [d] by layer, of the stepped and of the observed sample.
    """

    own: Layers
    moved: Layers

    def errors(self, other: PairMovement, rounding: Mapping[str, float]) -> dict[str, float]:
        """Return the relative difference of another's movements by layer, of the larger of the two samples.

        An observed sample that hardly moves is compared with `FLOOR` of the stepped one's own movement: the
        rounding of a sum that cancels is not informative. Nor are differences up to ``rounding``, which count as
        at most `DECIDED`.

        >>> one = PairMovement({"h": torch.tensor([1.0])}, {"h": torch.tensor([0.5])})
        >>> two = PairMovement({"h": torch.tensor([1.0])}, {"h": torch.tensor([0.6])})
        >>> round(one.errors(two, {"h": 0.0})["h"], 3)       # 0.1 / (0.5 + 0.01)
        0.196
        """
        errors = {}
        for layer, own in self.own.items():
            size, moved, least = float(own.norm()), self.moved[layer], rounding[layer]
            of_own = _share((own - other.own[layer]).norm(), size, least)
            of_moved = _share((moved - other.moved[layer]).norm(), float(moved.norm()) + FLOOR * size, least)
            errors[layer] = max(of_own, of_moved)
        return errors


@dataclass(frozen=True)
class Reference:
    """The movement of a pair by real steps.

    Attributes
    ----------
    movement
        Of the decided layers.
    undecided
        Layers with a kink at the parameters, or with a movement dominated by rounding.
    rounding
        Movements at rounding level, by layer: `ROUNDINGS` ε‖h‖/‖θ‖, with the ε of the model's own type and the largest
        features. The gradient of
        a network whose outputs do not depend on its features is zero, and of this size in an engine.
    precision
        "float64", or the model's own type if it does not run in float64.
    """

    movement: PairMovement
    undecided: frozenset[str]
    rounding: dict[str, float]
    precision: str


@dataclass(frozen=True)
class Pair:
    """Inputs of a reference.

    Attributes
    ----------
    stepped, observed
        Inputs [1, …].
    layer, seed
        The step descends along ⟨features of the layer, seed⟩ of the stepped sample; seed is [d] with norm 1.
    size
        None in first order; else the length of a finite step along that gradient.
    """

    stepped: Tensor
    observed: Tensor
    layer: str
    seed: Tensor
    size: float | None = None


def _share(difference: Tensor, size: float, rounding: float) -> float:
    gap = float(difference)
    if gap == 0:
        return 0.0
    # NaN of an engine is no agreement if real steps give a number.
    share = gap / size if size > 0 and math.isfinite(gap) else math.inf
    return min(share, DECIDED[torch.float64]) if gap <= rounding else share
