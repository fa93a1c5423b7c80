"""Supervised contrastive loss of features."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from elastic.losses.contract import Loss, LossGradient, by_norm, loss


@loss()
def supervised_contrastive(*, temperature: Annotated[float, Field(gt=0)] = 0.1) -> Loss:
    r"""Supervised contrastive loss of the penultimate features h: attracts samples of a class, repels other classes.

    With u = h/‖h‖, P(i) the other samples of i's class in the batch and the temperature τ,

        ℓ_i = −1/|P(i)| Σ_{p∈P(i)} log( exp(u_i·u_p/τ) / Σ_{a≠i} exp(u_i·u_a/τ) ),

    the loss L_out of Khosla et al.; a sample without another one of its class in the batch has ℓ_i = 0. It couples the
    samples of a batch: its value grows with the logarithm of their number, and the gradient by a sample's features is
    its share of the batch's, ∂(Σ_i ℓ_i)/∂h_a, in its own loss and in all others. A feature of zero has no direction:
    its cosines are 0 and its gradient too; near zero the gradient grows as 1/‖h‖, where a gradient flow can stall.
    Norms are unconstrained: only directions collapse, and the variance of norms remains in metrics of h. Rectified
    features have no negative cosines, hence form no simplex before centring.

    The minimum over balanced classes is `elastic.theory.supervised_contrastive`.

    The loss does not depend on the classifier. Training fits the classifier to the features by cross-entropy, without
    a gradient to the layers below (see `elastic.training.Objective`).

    Source: khosla2020supervised; its minimum: graf2021dissecting.

    Parameters
    ----------
    temperature
        Temperature τ, in units of a cosine. Below about 0.003 the least gradients, of size exp(−2/τ), are below
        float64's numbers.

    Examples
    --------
    Two classes of two samples on the axes: u·u' is 1 to the own partner and 0 to the two others.

    >>> import math
    >>> h, y = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0], [0.0, 1.0]]), torch.tensor([0, 0, 1, 1])
    >>> values = supervised_contrastive(temperature=1.0).per_sample(h, y)
    >>> bool(torch.allclose(values, torch.tensor(math.log(1 + 2 / math.e))))         # log((e + 1 + 1)/e)
    True

    The others push each away from their axis, as anchors and as negatives: 2·2/(e + 2) to one side, over its norm.

    >>> gradient = supervised_contrastive(temperature=1.0).gradient(h, y)
    >>> bool(torch.allclose(gradient.norm * h.norm(dim=1), torch.tensor(4 / (math.e + 2)).double()))
    True
    >>> gradient.direction.round().abs().tolist()
    [[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]
    """

    def per_sample(features: Tensor, labels: Tensor) -> Tensor:
        u, _ = on_sphere(features)
        positive, alone = positives(labels)
        similarity = (u @ u.T / temperature).masked_fill(_diagonal(labels), -torch.inf)
        total = similarity.logsumexp(dim=1)
        pulled = torch.where(positive, similarity, 0.0).sum(dim=1) / positive.sum(dim=1).clamp(min=1)
        return torch.where(alone, 0.0, total - pulled)

    def gradient(features: Tensor, labels: Tensor) -> LossGradient:
        u, norm = on_sphere(features.double())
        slopes = pair_slopes(_cosines_below_one(u, norm) / temperature, labels)
        by_u = (slopes + slopes.T) @ u / temperature
        across = by_u - (by_u * u).sum(dim=1, keepdim=True) * u
        return by_norm(torch.where(norm > 0, across / torch.where(norm > 0, norm, 1.0), 0.0))

    return Loss(per_sample, gradient, layer="penultimate")


def on_sphere(features: Tensor) -> tuple[Tensor, Tensor]:
    """Normalise features [n, d] (zeros stay zero) and return them with the norms [n, 1].

    >>> on_sphere(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))[0].tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    norm = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return torch.where(norm > 0, features / torch.where(norm > 0, norm, 1.0), 0.0), norm


def positives(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return a mask of pairs of the same class [n, n], and one of samples without such a partner [n].

    >>> positives(torch.tensor([0, 1, 0]))[1].tolist()
    [False, True, False]
    """
    same = (labels[:, None] == labels[None, :]) & ~_diagonal(labels)
    return same, ~same.any(dim=1)


def pair_slopes(similarity: Tensor, labels: Tensor) -> Tensor:
    r"""Return ∂ℓ_i/∂s_ij = p_ij − [j∈P(i)]/|P(i)| of similarities s [n, n], p their softmax over j ≠ i; 0 at j = i.

    For a collapsed class far from the others, p_ip and 1/|P| agree in all digits. With q the share of the negatives,
    Σ p_ij over j of other classes, and r the softmax over P(i) alone, the difference is (r − 1/|P|) − q r, in which
    each part is accurate.

    Examples
    --------
    Partner at 50 above the only negative: p − 1 at the partner is −q.

    >>> s = torch.tensor([[0.0, 50.0, 0.0], [50.0, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    >>> [f"{slope:.3e}" for slope in pair_slopes(s, torch.tensor([0, 0, 1]))[0].tolist()]        # e⁻⁵⁰
    ['0.000e+00', '-1.929e-22', '1.929e-22']
    """
    positive, alone = positives(labels)
    log_p = similarity.masked_fill(_diagonal(labels), -torch.inf).log_softmax(dim=1)
    push = torch.where(positive, 0.0, log_p.exp())
    own = similarity.masked_fill(~positive, -torch.inf)
    # Relative to the nearest partner: exp(s) itself is inaccurate for partners that nearly coincide.
    away = torch.where(positive, similarity - own.amax(dim=1, keepdim=True), 0.0)
    excess, count = torch.where(positive, away.expm1(), 0.0), positive.sum(dim=1, keepdim=True)
    total = count + excess.sum(dim=1, keepdim=True)
    uneven = (excess - excess.sum(dim=1, keepdim=True) / count) / total
    pull = uneven - push.sum(dim=1, keepdim=True) * (1 + excess) / total
    return torch.where(alone[:, None], 0.0, torch.where(positive, pull, push))


def _cosines_below_one(u: Tensor, norm: Tensor) -> Tensor:
    """Return u_i·u_j − 1 [n, n] from distances: for nearly equal directions the product itself is inaccurate."""
    squares = torch.cdist(u, u, compute_mode="donot_use_mm_for_euclid_dist").square()
    # ‖u − u'‖² = 2 − 2 u·u' if both have norm 1; a zero direction contributes 0 instead of 1.
    missing = (norm == 0).double()
    return -(squares + missing + missing.T) / 2


def _diagonal(labels: Tensor) -> Tensor:
    return torch.eye(len(labels), dtype=torch.bool, device=labels.device)
