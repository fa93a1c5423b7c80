r"""Intra-class and inter-class effects of a step, α and β, in the locally elastic dynamics of logits.

Zhang, Wang and Su (zhang2021imitating) let a step on a sample a of class l move the features of every sample of class
k by $\eta E_{kl}\, v(a)$, with η the learning rate, v(a) a direction that depends on a, and $E_{kk} = \alpha$,
$E_{kl} = \beta$ for k ≠ l. In a network v(a) is −∂ℓ/∂h(a), the descent direction of a's features h in the layer that
the loss reads: the logits, or under a loss of the penultimate features (supervised contrastive, of the batch of all
stepped samples) those. E is read off the movements Δ(m;a) along a's own:

$E(m,a) = \langle \Delta(m;a), \Delta(a;a)\rangle / \langle v(a), \Delta(a;a)\rangle$,

whose denominator is the decrease of the loss per unit learning rate by a's movement alone. Where Δ(m;a) = E v(a) this
is E, whatever a's own effect and however far a is fitted; of a linear classifier with bias it is x_m·x_a + 1. It can
never explode: with J the Jacobian of that layer by the parameters |E(m,a)| ≤ ‖J(m)‖‖J(a)‖ there, so that ratios are
averaged here. (A finite step takes the loss's decrease to first order in the movement; where that is near 0 the bound
does not hold.)

The theory is about logits under a loss of theirs. The numbers of another layer have the same denominator, which is not
that layer's own: they can be compared with each other, not with those of the layer that the loss reads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.update import PAIR_OF_CLASSES, UpdateResponse, example_update, not_zero

__all__ = ["example_update"]

UNITS = "feature per unit learning rate and loss gradient"


def pair_effects(update: UpdateResponse) -> Tensor:
    """Return E(m,a) = ⟨Δ(m;a), Δ(a;a)⟩ / (−dℓ(a)/dη) of each pair [J, M]; NaN where the loss has no slope left.

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
    r"""Effect E of a step on the observed class, along the stepped sample's own movement and per unit of its gradient.

    $E_{jk} = \operatorname{mean}_{a \in j} \operatorname{mean}_{m \in k} \frac{\langle \Delta(m;a), \Delta(a;a)\rangle}
    {-d\ell(a)/d\eta}$, [K, K]; in the layer that the loss reads (logits, mostly) the matrix of the locally elastic
    stochastic differential equations.

    Convention: a mean of ratios over the stepped samples (they are bounded); samples that are fitted exactly left out.

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
    r"""Intra-class effect α of a step: how strongly it moves other samples of its own class.

    $\alpha = \operatorname{mean}_j E_{jj}$, [] (classes without samples left out), E the class_effect.

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
    r"""Inter-class effect β of a step: how strongly it moves samples of other classes, below 0 against its own way.

    $\beta = \operatorname{mean}_{j \ne k} E_{jk}$, [] (classes without samples left out), E the class_effect.

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
    r"""Separation rate γ of the slower of the two directions in which the dynamics α, β part classes.

    $\gamma = \min\{\alpha - \beta,\ \alpha + (K-1)\beta\}$, []: the least eigenvalue of the K×K matrix of α on the
    diagonal and β elsewhere. Classes become separable where it stays positive and falls more slowly than 1/t
    (`elastic.analysis.separability`, with two cautions on how to read it).

    Convention: K is the number of the task's classes, those without samples among them.

    Examples
    --------
    >>> round(separation_rate(example_update()).item(), 9)    # α = 6.4, β = −1.6: of 8 and 6.4 − 1.6
    4.8
    """
    alpha, beta = intra_class_effect(update), inter_class_effect(update)
    return torch.minimum(alpha - beta, alpha + (update.classes - 1) * beta)
