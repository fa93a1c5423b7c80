r"""Local elasticity: how a gradient step on a sample of one class moves the representations of another.

The movement Δ(m;a) of an observed sample m of class k, per unit learning rate and along the step on a of class j
that training takes (−∇ℓ), is read as an `UpdateResponse`; the metrics average it over each pair of classes.
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

    $R_{jk} = \operatorname{mean}_{a \in j,\, m \in k} \lVert \Delta(m;a) \rVert$, [K, K]; a sample is never its own
    neighbour.

    Examples
    --------
    One step on class 0 moves its neighbours by 3 and 5, and the one sample of class 1 by 1:

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
    r"""He and Su's relative similarity, per layer: response over self-response.

    $S_{jk} = R_{jk} / R_j$, [K, K].

    Convention: a ratio of means over pairs, in which each stepped sample counts by how far it moves; He and Su's mean
    of each pair's ratio is relative_similarity_per_sample.

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
    r"""Inner product of the observed sample's movement with the stepped one's own (numerator of kernel_similarity).

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
    r"""Signed similarity: does the observed class move with the stepped sample or against it.

    $\kappa_{jk} = P_{jk} / P_j$, [K, K]; for a scalar output it is He and Su's K(x′,x)/K(x,x).

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
    r"""How much more a step moves its own class than the others: above 1, the layer is locally elastic.

    $\operatorname{mean}_j S_{jj} / \operatorname{mean}_{j \ne k} S_{jk}$, [] (classes without samples left out): mean
    diagonal over mean off-diagonal of the relative similarity S.

    Convention: of relative_similarity rather than response, so that each stepped class counts alike. Biased upwards
    where few samples are stepped and one of them moves most (locality_corrected); the samples that move most are less
    local than others late in training (locality_per_sample counts all alike).

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
    """Number of stepped samples of each class, which a probe with a target precision chooses itself: Σ_a [a ∈ j], [K].

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
    """Number of observed samples of each class: Σ_m [m ∈ k], [K].

    Examples
    --------
    >>> observed_samples(example_update()).tolist()
    [2.0, 1.0]
    """
    return update.members(update.observed).sum(0)
