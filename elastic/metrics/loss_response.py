r"""Signed effect of a step on one class on the loss and the outputs of another.

With z the outputs, Δz(m;a) the movement of an observed sample m under a step on a, per unit learning rate and with the
sign of the step, the loss of m changes at the rate ⟨∂ℓ(m)/∂z, Δz(m;a)⟩, negative if the step lowers it. This is minus
the inner product of the two samples' loss gradients with respect to all parameters, and therefore symmetric in a and m.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.update import PAIR_OF_CLASSES, not_zero

OUTPUTS = (*PAIR_OF_CLASSES, "output")


@dataclass(frozen=True)
class PairSums:
    """Sums over pairs of samples, from which means and standard errors for pairs of classes are computed.

    Attributes
    ----------
    stepped, observed
        [J, K] and [M, K] float64 members of the classes.
    counted
        [J, M] bool, which pairs count.
    by_stepped
        [J, K, d] sum over the counted samples m of class k.
    by_observed
        [M, K, d] sum over the counted samples a of class j.
    squares
        [K, K, d] sum of squares over the counted pairs of each two classes.
    """

    stepped: Tensor
    observed: Tensor
    counted: Tensor
    by_stepped: Tensor
    by_observed: Tensor
    squares: Tensor

    @classmethod
    def of(cls, values: Tensor, stepped: Tensor, observed: Tensor, counted: Tensor) -> PairSums:
        """Return the sums of values [J, M]."""
        known = torch.where(counted, values.double(), 0.0)
        by_stepped, by_observed = known @ observed, known.T @ stepped
        squares = stepped.T @ known.square() @ observed
        return cls(stepped, observed, counted, by_stepped[..., None], by_observed[..., None], squares[..., None])

    def mean(self) -> Tensor:
        """Return the mean over the pairs of each two classes [K, K, d], NaN where there is none."""
        total = torch.einsum("aj,akd->jkd", self.stepped, self.by_stepped)
        return total / not_zero(self._pairs())[..., None]

    def stderr(self) -> Tensor:
        """Return the standard error of that mean [K, K, d], clustered as response_stderr_clustered.

        Examples
        --------
        Two stepped and two observed samples of one class; rows differ by 2, columns do not:

        >>> one = torch.ones(2, 1, dtype=torch.float64)
        >>> table = torch.tensor([[1.0, 1.0], [3.0, 3.0]])
        >>> PairSums.of(table, one, one, torch.ones(2, 2, dtype=torch.bool)).stderr().item()   # √(2 (2² + 2²)) / 4
        1.0
        """
        pairs, mean = self._pairs(), self.mean().nan_to_num()
        counted = self.counted.double()
        per_stepped, per_observed = counted @ self.observed, counted.T @ self.stepped
        own, other = self.stepped.argmax(dim=1), self.observed.argmax(dim=1)
        left = self.by_stepped - per_stepped[..., None] * mean[own]
        by_stepped = torch.einsum("aj,akd->jkd", self.stepped, left.square())
        left = self.by_observed - per_observed[..., None] * mean[:, other].transpose(0, 1)
        by_observed = torch.einsum("mk,mjd->jkd", self.observed, left.square())
        # Rounding errors may make the sum of squares negative if all pairs are equal.
        by_pair = (self.squares - pairs[..., None] * mean.square()).clamp(min=0.0)
        steps, samples = self.stepped.sum(0)[:, None, None], self.observed.sum(0)[None, :, None]
        by_stepped = by_stepped * steps / not_zero(steps - 1)
        by_observed = by_observed * samples / not_zero(samples - 1)
        by_pair = by_pair * (pairs / not_zero(pairs - 1))[..., None]
        larger = torch.maximum(by_stepped, by_observed)
        return torch.maximum(by_stepped + by_observed - by_pair, larger).sqrt() / not_zero(pairs)[..., None]

    def _pairs(self) -> Tensor:
        return self.stepped.T @ self.counted.double() @ self.observed


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
    effects = torch.where(loss_update.counted, loss_update.rates.abs(), 0.0)
    return (effects.sum(dim=0) / not_zero(loss_update.counted.double().sum(dim=0))).nan_to_num(0.0).max()


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
    return torch.where(loss_update.counted, loss_update.rates.abs(), 0.0).max()


@dataclass(frozen=True)
class OutputUpdate:
    """How the outputs of observed samples move, and the probability of their most likely class (all float64).

    Attributes
    ----------
    logits
        Sums of Δz(m;a), one number an output.
    squeezed
        Sums of the change of p_max(m;a), the softmax probability of the class that is the most likely one of m.
    """

    logits: PairSums
    squeezed: PairSums


def example_outputs() -> OutputUpdate:
    """Return one step on a sample of class 0 that moves both outputs of one sample of class 0 and of one of class 1.

    >>> example_outputs().logits.by_stepped.tolist()
    [[[2.0, -1.0], [0.5, 0.0]]]
    """
    rows = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    columns, counted = torch.eye(2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.bool)
    moved = torch.tensor([[2.0, -1.0], [0.5, 0.0]], dtype=torch.float64)
    by_observed, squares = torch.zeros(2, 2, 2, dtype=torch.float64), torch.zeros(2, 2, 2, dtype=torch.float64)
    by_observed[:, 0], squares[0] = moved, moved.square()
    logits = PairSums(rows, columns, counted, moved[None], by_observed, squares)
    return OutputUpdate(logits, PairSums.of(torch.tensor([[0.25, -0.5]]), rows, columns, counted))


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over a in j, m in k of Δz(m;a)",
    units="output per unit learning rate",
    dims=OUTPUTS,
    layerless=True,
)
def logit_response(output_update: OutputUpdate) -> Tensor:
    r"""Signed movement of each output of the observed class under a step on the stepped class.

    $Z_{jko} = \operatorname{mean}_{a \in j,\, m \in k} \Delta z_o(m;a)$, [K, K, outputs].

    Convention: measured only for networks with at most 32 outputs.

    Examples
    --------
    >>> logit_response(example_outputs())[0].tolist()
    [[2.0, -1.0], [0.5, 0.0]]
    """
    return output_update.logits.mean()


@metric(
    group="elasticity",
    source="cameron2011robust",
    formula="sqrt(V_stepped + V_observed - V_pair), clustered by stepped and by observed sample",
    units="output per unit learning rate",
    bounds=(0.0, None),
    dims=OUTPUTS,
    layerless=True,
)
def logit_response_stderr(output_update: OutputUpdate) -> Tensor:
    r"""Standard error of the logit response, clustered by stepped and by observed sample.

    √(V_a + V_m − V_am), [K, K, outputs], as response_stderr_clustered.

    Examples
    --------
    >>> logit_response_stderr(example_outputs())[0, 0].tolist()       # needs two stepped samples
    [nan, nan]
    """
    return output_update.logits.stderr()


@metric(
    group="elasticity",
    source="ren2025learning",
    formula="mean over a in j, m in k of p_max (Δz_max - Σ_o p_o Δz_o)",
    units="probability per unit learning rate",
    dims=PAIR_OF_CLASSES,
    layerless=True,
)
def squeezed_probability(output_update: OutputUpdate) -> Tensor:
    r"""Rate at which a step moves probability from all other classes to the observed sample's most likely one.

    $S_{jk} = \operatorname{mean}_{a \in j,\, m \in k} p_{max} (\Delta z_{max}(m;a) - \sum_o p_o \Delta z_o(m;a))$,
    [K, K]: positive if unlikely classes lose probability (the squeezing effect), negative if they regain it.

    Convention: p is the softmax of the observed sample's outputs for every loss; at most 32 outputs.

    Examples
    --------
    >>> squeezed_probability(example_outputs())[0].tolist()
    [0.25, -0.5]
    """
    return output_update.squeezed.mean()[..., 0]
