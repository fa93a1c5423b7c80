r"""Signed effect of a step on one class on the loss of another.

With z the outputs, Δz(m;a) the movement of an observed sample m under a step on a, per unit learning rate and with the
sign of the step, the loss of m changes at the rate ⟨∂ℓ(m)/∂z, Δz(m;a)⟩, negative if the step lowers it. This is minus
the inner product of the two samples' loss gradients with respect to all parameters, and therefore symmetric in a and m.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.pair_sums import PairSums
from elastic.metrics.update import PAIR_OF_CLASSES


@dataclass(frozen=True)
class LossUpdate:
    """How the losses of M observed samples change under J single steps (all float64).

    Attributes
    ----------
    stepped, observed
        [J, K] and [M, K] members of the classes.
    counted
        [J, M] bool; False where the observed sample is the stepped one.
    rates
        [J, M] ⟨∂ℓ(m)/∂z, Δz(m;a)⟩.
    """

    stepped: Tensor
    observed: Tensor
    counted: Tensor
    rates: Tensor

    def sums(self, values: Tensor) -> PairSums:
        """Return the sums of values [J, M] over pairs of classes."""
        return PairSums.of(values, self.stepped, self.observed, self.counted)


def example_losses() -> LossUpdate:
    """Return one step on class 0 that lowers the losses of two others of it by 1 and 3, and raises one of class 1.

    >>> example_losses().rates.tolist()
    [[-1.0, -3.0, 0.5]]
    """
    rows = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    columns = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    rates = torch.tensor([[-1.0, -3.0, 0.5]], dtype=torch.float64)
    return LossUpdate(rows, columns, torch.ones(1, 3, dtype=torch.bool), rates)


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over a in j, m in k of <∂ℓ(m)/∂z, Δz(m;a)>",
    units="loss per unit learning rate",
    dims=PAIR_OF_CLASSES,
    layerless=True,
)
def loss_response(loss_update: LossUpdate) -> Tensor:
    r"""Rate of the observed class's loss under a step on the stepped class; negative if the step lowers it.

    $L_{jk} = \operatorname{mean}_{a \in j,\, m \in k} \langle \partial\ell(m)/\partial z, \Delta z(m;a) \rangle$,
    [K, K], z the layer that the loss is a function of.

    Examples
    --------
    >>> loss_response(example_losses())[0].tolist()           # (−1 − 3)/2 and 1/2
    [-2.0, 0.5]
    """
    return loss_update.sums(loss_update.rates).mean()[..., 0]


@metric(
    group="elasticity",
    source="cameron2011robust",
    formula="sqrt(V_stepped + V_observed - V_pair), clustered by stepped and by observed sample",
    units="loss per unit learning rate",
    bounds=(0.0, None),
    dims=PAIR_OF_CLASSES,
    layerless=True,
)
def loss_response_stderr(loss_update: LossUpdate) -> Tensor:
    r"""Standard error of the loss response, clustered by stepped and by observed sample.

    √(V_a + V_m − V_am), [K, K], as response_stderr_clustered.

    Examples
    --------
    >>> loss_response_stderr(example_losses())[0].tolist()    # needs two stepped samples
    [nan, nan]
    """
    return loss_update.sums(loss_update.rates).stderr()[..., 0]


@metric(
    group="elasticity",
    source="deng2021stability",
    formula="max over m of mean over a of |<∂ℓ(m)/∂z, Δz(m;a)>|",
    units="loss per unit learning rate",
    bounds=(0.0, None),
    layerless=True,
)
def local_stability(loss_update: LossUpdate) -> Tensor:
    r"""Locally elastic stability: largest effect on a sample's loss, averaged over the stepped samples.

    $\max_m \operatorname{mean}_a |\langle \partial\ell(m)/\partial z, \Delta z(m;a)\rangle|$, []: the sensitivity in
    the generalization bound of deng2021stability, for a single step instead of leaving a sample out. If it is far below
    uniform_stability, training is locally elastic: each sample affects few others.

    Examples
    --------
    >>> local_stability(example_losses()).item()              # one step: the mean over steps is the effect itself
    3.0
    """
    effects, steps = torch.where(loss_update.counted, loss_update.rates.abs(), 0.0), loss_update.counted.sum(dim=0)
    return _largest((effects.sum(dim=0) / steps)[steps > 0])


@metric(
    group="elasticity",
    source="deng2021stability",
    formula="max over a, m of |<∂ℓ(m)/∂z, Δz(m;a)>|",
    units="loss per unit learning rate",
    bounds=(0.0, None),
    layerless=True,
)
def uniform_stability(loss_update: LossUpdate) -> Tensor:
    r"""Uniform stability: largest effect of a single step on a sample's loss.

    $\max_{a,m} |\langle \partial\ell(m)/\partial z, \Delta z(m;a)\rangle|$, [].

    Examples
    --------
    >>> uniform_stability(example_losses()).item()
    3.0
    """
    return _largest(loss_update.rates.abs()[loss_update.counted])


def _largest(values: Tensor) -> Tensor:
    """Return the largest of some values; NaN if there is none, or one is NaN."""
    return values.max() if len(values) else values.new_tensor(torch.nan)
