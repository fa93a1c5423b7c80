"""Averages as in the paper of He and Su: means of ratios, whereas `relative_similarity` is a ratio of means."""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.update import PAIR_OF_CLASSES, UpdateResponse, example_pairs, not_zero

__all__ = ["example_pairs"]


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over a in j, m in k of |Δ(m;a)| / |Δ(a;a)|",
    bounds=(0.0, None),
    dims=PAIR_OF_CLASSES,
)
def relative_similarity_per_sample(update: UpdateResponse) -> Tensor:
    r"""Relative similarity averaged as in the paper of He and Su: mean over pairs of each pair's ratio.

    $\operatorname{mean}_{a \in j,\, m \in k} \lVert \Delta(m;a) \rVert / \lVert \Delta(a;a) \rVert$, [K, K]. All
    stepped samples have equal weight. In relative_similarity they are weighted by their own movement, so that late in
    training the few samples that are not yet fitted dominate.

    Convention: excludes stepped samples that do not move, whose ratios are undefined.

    Examples
    --------
    >>> relative_similarity_per_sample(example_pairs())[0].tolist()
    [0.5, 0.125]
    """
    moves = (update.own_norms > 0)[:, None] & update.counted
    ratios = torch.where(moves, update.norms / not_zero(update.own_norms)[:, None], 0.0)
    rows, columns = update.members(update.stepped), update.members(update.observed)
    return rows.T @ ratios @ columns / not_zero(rows.T @ moves.double() @ columns)


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over j of S_jj / mean over j, k ≠ j of S_jk, S = relative_similarity_per_sample",
    bounds=(0.0, None),
)
def locality_per_sample(update: UpdateResponse) -> Tensor:
    r"""Locality with equal weights for all stepped samples, averaged as in the paper of He and Su.

    $\operatorname{mean}_j S_{jj} / \operatorname{mean}_{j \ne k} S_{jk}$, [], with S = relative_similarity_per_sample.
    It varies less between draws of samples than locality, and has no bias that depends on the number of stepped
    samples.

    Examples
    --------
    >>> locality_per_sample(example_pairs()).item()
    4.0
    """
    similarity = relative_similarity_per_sample(update)
    own = torch.eye(update.classes, dtype=torch.bool, device=similarity.device)
    return similarity[own].nanmean() / not_zero(similarity[~own].nanmean())
