r"""Effect of a step on one class on the mean of another class and on the scatter around it.

These connect local elasticity with collapse: a class collapses if steps on other classes do not move its mean, and
steps on its own samples contract it.
"""

from __future__ import annotations

from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.update import PAIR_OF_CLASSES, UpdateResponse, example_update, not_zero

__all__ = ["example_update"]


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over a in j of |mean over m in k of Δ(m;a)|",
    units="feature per unit learning rate",
    bounds=(0.0, None),
    dims=PAIR_OF_CLASSES,
)
def mean_shift(update: UpdateResponse) -> Tensor:
    r"""Movement of the observed class's mean under a step on the stepped class.

    $M_{jk} = \operatorname{mean}_{a \in j} \lVert \operatorname{mean}_{m \in k} \Delta(m;a) \rVert$, [K, K]; never
    above the response, and equal to it where the class moves as one.

    Examples
    --------
    >>> mean_shift(example_update())[0].tolist()
    [4.0, 1.0]
    """
    return update.over_stepped(update.shift_norms)


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over a in j of <Δμ_k(a), (μ_k-μ_G)/|μ_k-μ_G|> / mean_shift",
    bounds=(-1.0, 1.0),
    dims=PAIR_OF_CLASSES,
)
def mean_shift_alignment(update: UpdateResponse) -> Tensor:
    r"""Alignment of the observed class mean's movement with its direction from the global mean; 1 is outwards.

    $\operatorname{mean}_{a \in j} \langle \Delta\mu_k(a), u_k \rangle / M_{jk}$ with
    $u_k = (\mu_k - \mu_G) / \lVert \mu_k - \mu_G \rVert$, [K, K]: the cosine of the class mean's movement Δμ_k(a) with
    its own direction from the global mean.

    Convention: a ratio of means over the stepped samples, so that they are weighted by the movement that they cause.

    Examples
    --------
    >>> mean_shift_alignment(example_update())[0].tolist()    # 4 of 4 outwards; ½ of 1 inwards
    [1.0, -0.5]
    """
    return update.over_stepped(update.shift_along_mean) / not_zero(mean_shift(update))


@metric(
    group="elasticity",
    source="papyan2020prevalence",
    formula="mean over a in j of (2/n_k) sum over m in k of <h_m-μ_k, Δ(m;a)>",
    units="squared feature per unit learning rate",
    dims=PAIR_OF_CLASSES,
)
def within_sensitivity(update: UpdateResponse) -> Tensor:
    r"""Rate of the observed class's within-class variance under a step; negative if the step contracts the class.

    $V_{jk} = \operatorname{mean}_{a \in j} \frac{d}{d\eta} \frac{1}{n_k}\sum_{m \in k} \lVert h_m - \mu_k \rVert^2$,
    [K, K].

    Convention: the variance of the observed samples, not of the whole class.

    Examples
    --------
    >>> within_sensitivity(example_update())[0].tolist()
    [-2.0, 0.0]
    """
    return update.over_stepped(update.within_rates)


@metric(
    group="elasticity",
    source="papyan2020prevalence",
    formula="mean over a in j of (dv_k/dη)/v_k / mean over a in j of -dℓ(a)/dη",
    units="1 per unit loss",
    dims=PAIR_OF_CLASSES,
)
def within_sensitivity_relative(update: UpdateResponse) -> Tensor:
    r"""Relative rate of the observed class's within-class variance per unit decrease of the stepped sample's loss.

    $\operatorname{mean}_{a \in j} \frac{dv_k/d\eta}{v_k} \Big/ \operatorname{mean}_{a \in j} \frac{-d\ell(a)}{d\eta}$,
    [K, K]: comparable between epochs, as it does not depend on the scale of features and gradients.

    Convention: a ratio of means over the stepped samples; the decrease of the loss is taken to first order in the
    movement of the layer that the loss is a function of.

    Examples
    --------
    >>> within_sensitivity_relative(example_update())[0].tolist()     # (−2/4)/5 and (0/1)/5
    [-0.1, 0.0]
    """
    relative = update.within_rates / not_zero(update.within_variances)
    return update.over_stepped(relative) / not_zero(update.over_stepped(update.loss_rates))[:, None]
