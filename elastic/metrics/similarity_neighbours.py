r"""Separation of classes by similarities of local elasticity: nearest-neighbour accuracy.

The similarity of a stepped sample a to an observed sample m is how far a step on a moves m. In a locally elastic
network, the sample whose step moves m most is of m's class.
"""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.metrics.class_effects import pair_effects
from elastic.metrics.contract import metric
from elastic.metrics.update import UpdateResponse, example_update, not_zero

__all__ = ["example_update"]


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over m of [class of argmax_a |Δ(m;a)|/|Δ(a;a)| = class of m]",
    bounds=(0.0, 1.0),
)
def relative_neighbour_accuracy(update: UpdateResponse) -> Tensor:
    r"""Share of observed samples whose nearest stepped sample by relative similarity has the same class.

    $\operatorname{mean}_m [\, y(\operatorname{argmax}_a \lVert\Delta(m;a)\rVert / \lVert\Delta(a;a)\rVert) = y(m)\,]$,
    []; chance level 1/K.

    Convention: one neighbour, the first in case of ties; a sample is not its own neighbour.

    Examples
    --------
    >>> round(relative_neighbour_accuracy(example_update()).item(), 4)     # the one step is on class 0: 2 of 3 right
    0.6667
    """
    return _accuracy(update, update.norms / not_zero(update.own_norms)[:, None])


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over m of [class of argmax_a <Δ(m;a), Δ(a;a)>/(-dℓ(a)/dη) = class of m]",
    bounds=(0.0, 1.0),
)
def kernel_neighbour_accuracy(update: UpdateResponse) -> Tensor:
    r"""Share of observed samples whose nearest stepped sample by kernelised similarity has the same class.

    $\operatorname{mean}_m [\, y(\operatorname{argmax}_a \langle\Delta(m;a), \Delta(a;a)\rangle / (-d\ell(a)/d\eta)) =
    y(m)\,]$, []; chance level 1/K. For a scalar output this is He and Su's kernelised similarity, the tangent kernel.

    Convention: as relative_neighbour_accuracy.

    Examples
    --------
    >>> round(kernel_neighbour_accuracy(example_update()).item(), 4)
    0.6667
    """
    return _accuracy(update, pair_effects(update))


def _accuracy(update: UpdateResponse, similarity: Tensor) -> Tensor:
    """Return the share of observed samples with a known similarity whose nearest stepped sample has their class."""
    known = update.counted & ~similarity.isnan()
    nearest = torch.where(known, similarity, -torch.inf).argmax(dim=0)
    right = (update.stepped[nearest] == update.observed).double()
    return torch.where(known.any(dim=0), right, torch.nan).nanmean()
