"""He and Su's averages: means of ratios per stepped sample, whereas `relative_similarity` is a ratio of means."""

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
    r"""He and Su's relative similarity, averaged as they do: the mean of each pair's own ratio.

    $\operatorname{mean}_{a \in j,\, m \in k} \lVert \Delta(m;a) \rVert / \lVert \Delta(a;a) \rVert$, [K, K]. Every
    stepped sample counts alike, where in relative_similarity each counts by how far it moves: late in training the few
    samples that are not yet fitted.

    Convention: a stepped sample that does not move at all has no ratio and is left out.

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
    r"""Locality in which every stepped sample counts alike, as He and Su average.

    $\operatorname{mean}_j S_{jj} / \operatorname{mean}_{j \ne k} S_{jk}$, [], with S the relative similarity per
    sample. Its draws vary less than those of locality, and it has no bias that depends on how many samples are stepped.

    Examples
    --------
    >>> locality_per_sample(example_pairs()).item()
    4.0
    """
    similarity = relative_similarity_per_sample(update)
    own = torch.eye(update.classes, dtype=torch.bool, device=similarity.device)
    return similarity[own].nanmean() / not_zero(similarity[~own].nanmean())
