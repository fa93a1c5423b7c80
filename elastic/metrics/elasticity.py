r"""Local elasticity: how a gradient step on a sample of one class moves the representations of another.

The movement Δ(m;a) of an observed sample m of class k, per unit learning rate and along the descent step
−∇ℓ on a sample a of class j, is read as an `UpdateResponse`; the metrics average it over each pair of classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.update import PAIR_OF_CLASSES, UpdateResponse, example_update, not_zero

__all__ = ["UpdateResponse", "example_update"]


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over a in j, m in k of |Δ(m;a)|",
    units="feature per unit learning rate",
    bounds=(0.0, None),
    dims=PAIR_OF_CLASSES,
)
def response(update: UpdateResponse) -> Tensor:
    r"""Movement of the observed class's features under a step on the stepped class.

    $R_{jk} = \operatorname{mean}_{a \in j,\, m \in k} \lVert \Delta(m;a) \rVert$, [K, K], over pairs of
    different samples.

    Examples
    --------
    One step on class 0 moves two other samples of class 0 by 3 and 5, and the only sample of class 1 by 1:

    >>> response(example_update())[0].tolist()
    [4.0, 1.0]
    """
    return update.over_pairs(update.norms)


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over a in j of |Δ(a;a)|",
    units="feature per unit learning rate",
    bounds=(0.0, None),
    dims=("stepped_class",),
)
def self_response(update: UpdateResponse) -> Tensor:
    r"""Movement of the stepped sample's own features, averaged over its class.

    $R_j = \operatorname{mean}_{a \in j} \lVert \Delta(a;a) \rVert$, [K].

    Examples
    --------
    >>> self_response(example_update()).tolist()
    [8.0, nan]
    """
    return update.over_stepped(update.own_norms)


@metric(
    group="elasticity",
    source="he2020local",
    formula="response / self_response",
    bounds=(0.0, None),
    dims=PAIR_OF_CLASSES,
)
def relative_similarity(update: UpdateResponse) -> Tensor:
    r"""Relative similarity of He and Su in each layer: response over self-response.

    $S_{jk} = R_{jk} / R_j$, [K, K].

    Convention: a ratio of means over pairs, so that stepped samples are weighted by their own movement;
    relative_similarity_per_sample is the mean of ratios of He and Su.

    Examples
    --------
    >>> relative_similarity(example_update())[0].tolist()     # 4/8 and 1/8
    [0.5, 0.125]
    """
    return response(update) / not_zero(self_response(update))[:, None]


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over a in j, m in k of <Δ(m;a), Δ(a;a)>",
    units="squared feature per squared unit learning rate",
    dims=PAIR_OF_CLASSES,
)
def response_product(update: UpdateResponse) -> Tensor:
    r"""Inner product of the movements of the observed and the stepped sample (numerator of kernel_similarity).

    $P_{jk} = \operatorname{mean}_{a \in j,\, m \in k} \langle \Delta(m;a), \Delta(a;a) \rangle$, [K, K].

    Examples
    --------
    >>> response_product(example_update())[0].tolist()
    [32.0, -8.0]
    """
    return update.over_pairs(update.products)


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over a in j of |Δ(a;a)|²",
    units="squared feature per squared unit learning rate",
    bounds=(0.0, None),
    dims=("stepped_class",),
)
def self_response_squared(update: UpdateResponse) -> Tensor:
    r"""Squared movement of the stepped sample's own features (denominator of kernel_similarity).

    $P_j = \operatorname{mean}_{a \in j} \lVert \Delta(a;a) \rVert^2$, [K].

    Examples
    --------
    >>> self_response_squared(example_update())[0].item()
    64.0
    """
    return update.over_stepped(update.own_norms.square())


@metric(
    group="elasticity",
    source="he2020local",
    formula="response_product / self_response_squared",
    dims=PAIR_OF_CLASSES,
)
def kernel_similarity(update: UpdateResponse) -> Tensor:
    r"""Signed similarity: the observed class's movement along the stepped sample's, over the latter's own.

    $\kappa_{jk} = P_{jk} / P_j$, [K, K]: positive if the observed class moves with the stepped sample, negative if
    against it. For a scalar output it is K(x′,x)/K(x,x) of He and Su.

    Convention: a ratio of means over pairs, as relative_similarity.

    Examples
    --------
    >>> kernel_similarity(example_update())[0].tolist()       # 32/64 and −8/64
    [0.5, -0.125]
    """
    return response_product(update) / not_zero(self_response_squared(update))[:, None]


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over j of S_jj / mean over j, k ≠ j of S_jk, S = relative_similarity",
    bounds=(0.0, None),
)
def locality(update: UpdateResponse) -> Tensor:
    r"""Relative similarity within classes over that between classes; above 1, the layer is locally elastic.

    $\operatorname{mean}_j S_{jj} / \operatorname{mean}_{j \ne k} S_{jk}$, [], S the relative similarity, without
    classes that have no samples.

    Convention: uses relative_similarity, not response, so that stepped classes are weighted equally. Biased upwards if
    few samples are stepped and one of them dominates (locality_corrected reduces the bias). Late in training, samples
    that move most are less local than others; locality_per_sample weights all samples equally.

    Examples
    --------
    >>> locality(example_update()).item()                     # 0.5 / 0.125
    4.0
    """
    similarity = relative_similarity(update)
    own = torch.eye(update.classes, dtype=torch.bool, device=similarity.device)
    return similarity[own].nanmean() / not_zero(similarity[~own].nanmean())


@metric(
    group="elasticity",
    source="he2020local",
    formula="number of stepped samples a in j",
    bounds=(0.0, None),
    dims=("stepped_class",),
)
def stepped_samples(update: UpdateResponse) -> Tensor:
    """Number of stepped samples of each class, Σ_a [a ∈ j], [K].

    A probe with a target precision chooses it for each class and epoch.

    Examples
    --------
    >>> stepped_samples(example_update()).tolist()
    [1.0, 0.0]
    """
    return update.members(update.stepped).sum(0)


@metric(
    group="elasticity",
    source="he2020local",
    formula="number of observed samples m in k",
    bounds=(0.0, None),
    dims=("observed_class",),
)
def observed_samples(update: UpdateResponse) -> Tensor:
    """Number of observed samples of each class, Σ_m [m ∈ k], [K].

    Examples
    --------
    >>> observed_samples(example_update()).tolist()
    [2.0, 1.0]
    """
    return update.members(update.observed).sum(0)
