r"""Separation by local elasticity of fine classes that a network is trained on as one super-class (he2020local).

He and Su train a network on super-classes, take a step on each sample of one, and cluster its samples by how far the
steps move them. Here the stepped samples of a super-class are also its observed ones, which gives a square similarity
matrix S (rows: stepped), with S_aa the similarity of a sample to itself. (Disjoint draws, as for all other metrics of
elasticity, would not compare the same samples with each other.) Features of the same samples are clustered for
comparison.

The assignment of clusters to classes with the most correct samples is used. For two fine classes with n samples in
total, random clusters reach ½ + 1/√(2πn) on average: 0.54 at n = 128.
"""

from __future__ import annotations

from torch import Tensor

from elastic.metrics.class_effects import pair_effects
from elastic.metrics.contract import metric
from elastic.metrics.elasticity import locality
from elastic.metrics.fine_structure import OF_A_SUPERCLASS, OfEach, clustered, example_fine_update, of_each
from elastic.metrics.similarity_neighbours import kernel_neighbour_accuracy, relative_neighbour_accuracy
from elastic.metrics.update import UpdateResponse, not_zero

__all__ = ["example_fine_update"]


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over f of S_ff / mean over f, g ≠ f of S_fg, S = relative_similarity of fine classes",
    bounds=(0.0, None),
    dims=OF_A_SUPERCLASS,
)
def fine_locality(fine_updates: OfEach[UpdateResponse]) -> Tensor:
    r"""Locality of the fine classes of a super-class: relative similarity within over that between them.

    $\operatorname{mean}_f S_{ff} / \operatorname{mean}_{f \ne g} S_{fg}$, [K], S the relative_similarity between the
    fine classes of a super-class; above 1, the layer is locally elastic for classes that the network is not trained on.

    Convention: as locality; NaN for a super-class of one fine class.

    >>> fine_locality([example_fine_update(), None]).tolist()                 # own 3, the other class 1
    [3.0, nan]
    """
    return of_each(fine_updates, lambda update: locality(update).item())


@metric(
    group="elasticity",
    source="he2020local",
    formula="share of samples in the right cluster by kernel k-means on (S+Sᵀ)/2, S_am = |Δ(m;a)|/|Δ(a;a)|",
    bounds=(0.0, 1.0),
    dims=OF_A_SUPERCLASS,
)
def relative_fine_clustering_accuracy(fine_updates: OfEach[UpdateResponse]) -> Tensor:
    r"""Accuracy of kernel k-means on relative similarities for the fine classes of a super-class.

    Kernel k-means on $(S + S^\top)/2$, $S_{am} = \lVert\Delta(m;a)\rVert / \lVert\Delta(a;a)\rVert$, with as many
    clusters as there are fine classes, under the best assignment of clusters to classes, [K].

    Convention: the similarity of a sample to itself is 1; excludes samples that their own step does not move; NaN for a
    super-class of one fine class. Chance level exceeds 1/F for F fine classes (F = 2: ½ + 1/√(2πn), n samples).

    >>> relative_fine_clustering_accuracy([example_fine_update(), None]).tolist()
    [1.0, nan]
    """
    return of_each(fine_updates, lambda update: clustered(_relative(update), update.observed))


@metric(
    group="elasticity",
    source="he2020local",
    formula="share of samples in the right cluster by kernel k-means on (E+Eᵀ)/2, E_am = <Δ(m;a), Δ(a;a)>/(-dℓ(a)/dη)",
    bounds=(0.0, 1.0),
    dims=OF_A_SUPERCLASS,
)
def kernel_fine_clustering_accuracy(fine_updates: OfEach[UpdateResponse]) -> Tensor:
    r"""Accuracy of kernel k-means on kernelised similarities for the fine classes of a super-class.

    Kernel k-means on $(E + E^\top)/2$, $E_{am} = \langle\Delta(m;a), \Delta(a;a)\rangle / (-d\ell(a)/d\eta)$ as in
    kernel_neighbour_accuracy, with as many clusters as there are fine classes, under the best assignment, [K].

    Convention: excludes samples without a loss gradient; otherwise as relative_fine_clustering_accuracy.

    >>> kernel_fine_clustering_accuracy([example_fine_update(), None]).tolist()
    [1.0, nan]
    """
    return of_each(fine_updates, lambda update: clustered(pair_effects(update), update.observed))


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over m of [fine class of argmax_a |Δ(m;a)|/|Δ(a;a)| = fine class of m]",
    bounds=(0.0, 1.0),
    dims=OF_A_SUPERCLASS,
)
def relative_fine_neighbour_accuracy(fine_updates: OfEach[UpdateResponse]) -> Tensor:
    r"""Share of a super-class's samples whose nearest other by relative similarity has the same fine class.

    $\operatorname{mean}_m [\, f(\operatorname{argmax}_{a \ne m} \lVert\Delta(m;a)\rVert / \lVert\Delta(a;a)\rVert) =
    f(m)\,]$, [K], f(m) the fine class of m; chance level is about 1/F for F fine classes.

    Convention: as relative_neighbour_accuracy; NaN for a super-class of one fine class.

    >>> relative_fine_neighbour_accuracy([example_fine_update(), None]).tolist()
    [1.0, nan]
    """
    return of_each(fine_updates, lambda update: relative_neighbour_accuracy(update).item())


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over m of [fine class of argmax_a <Δ(m;a), Δ(a;a)>/(-dℓ(a)/dη) = fine class of m]",
    bounds=(0.0, 1.0),
    dims=OF_A_SUPERCLASS,
)
def kernel_fine_neighbour_accuracy(fine_updates: OfEach[UpdateResponse]) -> Tensor:
    r"""Share of a super-class's samples whose nearest other by kernelised similarity has the same fine class.

    $\operatorname{mean}_m [\, f(\operatorname{argmax}_{a \ne m} \langle\Delta(m;a), \Delta(a;a)\rangle /
    (-d\ell(a)/d\eta)) = f(m)\,]$, [K], f(m) the fine class of m; chance level is about 1/F for F fine classes.

    Convention: as kernel_neighbour_accuracy; NaN for a super-class of one fine class.

    >>> kernel_fine_neighbour_accuracy([example_fine_update(), None]).tolist()
    [1.0, nan]
    """
    return of_each(fine_updates, lambda update: kernel_neighbour_accuracy(update).item())


def _relative(update: UpdateResponse) -> Tensor:
    """Return the relative similarities [n, n] (rows: stepped samples) with exactly 1 on the diagonal."""
    similarity = update.norms / not_zero(update.own_norms)[:, None]
    similarity.diagonal().masked_fill_(update.own_norms != 0, 1.0)
    return similarity
