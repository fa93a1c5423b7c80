r"""Separation of classes by the similarities of local elasticity: the nearest stepped sample of each observed one.

The similarity of a stepped sample a to an observed one m is how far a step on a moves m. In a locally elastic network,
the sample whose step moves m most is of m's own class.
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
    r"""Share of observed samples whose nearest stepped sample, by relative similarity, is of their own class.

    $\operatorname{mean}_m [\, y(\operatorname{argmax}_a \lVert\Delta(m;a)\rVert / \lVert\Delta(a;a)\rVert) = y(m)\,]$,
    []; 1/K by chance.

    Convention: one neighbour; among equally near ones the first counts; a sample is not its own neighbour.

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
    r"""Share of observed samples whose nearest stepped sample, by kernelised similarity, is of their own class.

    $\operatorname{mean}_m [\, y(\operatorname{argmax}_a \langle\Delta(m;a), \Delta(a;a)\rangle / (-d\ell(a)/d\eta)) =
    y(m)\,]$, []; 1/K by chance. For a scalar output that is He and Su's kernelised similarity, the tangent kernel.

    Convention: as relative_neighbour_accuracy.

    Examples
    --------
    >>> round(kernel_neighbour_accuracy(example_update()).item(), 4)
    0.6667
    """
    return _accuracy(update, pair_effects(update))


def _accuracy(update: UpdateResponse, similarity: Tensor) -> Tensor:
    """Return the share of observed samples, with a finite similarity, whose nearest is of their class."""
    known = update.counted & ~similarity.isnan()
    nearest = torch.where(known, similarity, -torch.inf).argmax(dim=0)
    right = (update.stepped[nearest] == update.observed).double()
    return torch.where(known.any(dim=0), right, torch.nan).nanmean()
