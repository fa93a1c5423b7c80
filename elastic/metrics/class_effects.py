r"""Intra-class and inter-class effects of a step, α and β, in the locally elastic dynamics of logits.

Zhang, Wang and Su (zhang2021imitating) let a step on a sample a of class l move the features of every sample of class
k by $\eta E_{kl}\, v(a)$, with η the learning rate, v(a) a direction that depends on a, and $E_{kk} = \alpha$,
$E_{kl} = \beta$ for k ≠ l. In a network v(a) is −∂ℓ/∂h(a), the descent direction of a's features h in the layer that
the loss reads: the logits, or under a loss of the penultimate features (supervised contrastive, of the batch of all
stepped samples) those. E is estimated from the projection of Δ(m;a) on a's own
movement:

$E(m,a) = \langle \Delta(m;a), \Delta(a;a)\rangle / \langle v(a), \Delta(a;a)\rangle$,

whose denominator is the decrease of the loss per unit learning rate by a's movement alone. If Δ(m;a) = E v(a), this
is E, whatever the size of v(a); for a linear classifier with bias it is x_m·x_a + 1. It is bounded: with J the Jacobian
of that layer with respect to the parameters, |E(m,a)| ≤ ‖J(m)‖‖J(a)‖, so that ratios can be averaged. (With finite
steps the decrease of the loss is taken to first order in the movement; the bound fails where it is close to 0.)

The theory concerns the logits, under a loss of the logits. In other layers the denominator is still that of the layer
that the loss reads: their values can be compared with each other, but not with those of that layer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.update import PAIR_OF_CLASSES, UpdateResponse, example_update, not_zero

__all__ = ["example_update"]

UNITS = "feature per unit learning rate and loss gradient"


def pair_effects(update: UpdateResponse) -> Tensor:
    """Return E(m,a) = ⟨Δ(m;a), Δ(a;a)⟩ / (−dℓ(a)/dη) of each pair [J, M]; NaN where ℓ(a) has no gradient.

    >>> pair_effects(example_update()).tolist()               # products 24, 40, −8 over 5
    [[4.8, 8.0, -1.6]]
    """
    return update.products / not_zero(update.loss_rates)[:, None]


@metric(
    group="elasticity",
    source="zhang2021imitating",
    formula="mean over a in j of mean over m in k of <Δ(m;a), Δ(a;a)> / (-dℓ(a)/dη)",
    units=UNITS,
    dims=PAIR_OF_CLASSES,
)
def class_effect(update: UpdateResponse) -> Tensor:
    r"""Effect E of a step on the observed class, along the stepped sample's movement per unit of its loss gradient.

    $E_{jk} = \operatorname{mean}_{a \in j} \operatorname{mean}_{m \in k} \frac{\langle \Delta(m;a), \Delta(a;a)\rangle}
    {-d\ell(a)/d\eta}$, [K, K]; in the layer that the loss reads (usually the logits) it is the matrix of the locally
    elastic stochastic differential equations.

    Convention: a mean of (bounded) ratios over the stepped samples; excludes samples without a loss gradient.

    Examples
    --------
    >>> class_effect(example_update())[0].tolist()            # (24 + 40)/2/5 and −8/5
    [6.4, -1.6]
    """
    columns, counted = update.members(update.observed), update.counted.double()
    effects = torch.where(update.counted, update.products, 0.0) @ columns / not_zero(counted @ columns)
    return update.over_stepped(effects / not_zero(update.loss_rates)[:, None])


@metric(
    group="elasticity",
    source="zhang2021imitating",
    formula="mean over j of E_jj, E = class_effect",
    units=UNITS,
)
def intra_class_effect(update: UpdateResponse) -> Tensor:
    r"""Intra-class effect α: mean effect of a step on other samples of its class.

    $\alpha = \operatorname{mean}_j E_{jj}$, [] (excluding classes without samples), E the class_effect.

    Examples
    --------
    >>> intra_class_effect(example_update()).item()
    6.4
    """
    effect = class_effect(update)
    return effect.diagonal().nanmean()


@metric(
    group="elasticity",
    source="zhang2021imitating",
    formula="mean over j, k ≠ j of E_jk, E = class_effect",
    units=UNITS,
)
def inter_class_effect(update: UpdateResponse) -> Tensor:
    r"""Inter-class effect β: mean effect of a step on samples of other classes; negative against its direction.

    $\beta = \operatorname{mean}_{j \ne k} E_{jk}$, [] (excluding classes without samples), E the class_effect.

    Examples
    --------
    >>> inter_class_effect(example_update()).item()
    -1.6
    """
    effect = class_effect(update)
    other = ~torch.eye(update.classes, dtype=torch.bool, device=effect.device)
    return effect[other].nanmean()


@metric(
    group="elasticity",
    source="zhang2021imitating",
    formula="min(α - β, α + (K-1)β), α = intra_class_effect, β = inter_class_effect",
    units=UNITS,
)
def separation_rate(update: UpdateResponse) -> Tensor:
    r"""Separation rate γ of classes in locally elastic dynamics with intra- and inter-class effects α and β.

    $\gamma = \min\{\alpha - \beta,\ \alpha + (K-1)\beta\}$, []: the smaller eigenvalue of the K×K matrix with α
    on the diagonal and β elsewhere. Classes become separable if it stays positive and decays more slowly than 1/t
    (`elastic.analysis.separability`, which documents two caveats).

    Convention: K counts all classes of the task, also those without samples.

    Examples
    --------
    >>> round(separation_rate(example_update()).item(), 9)    # α = 6.4, β = −1.6: of 8 and 6.4 − 1.6
    4.8
    """
    alpha, beta = intra_class_effect(update), inter_class_effect(update)
    return torch.minimum(alpha - beta, alpha + (update.classes - 1) * beta)
