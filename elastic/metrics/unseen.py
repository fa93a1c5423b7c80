"""Metrics of held-out classes: separation, few-shot learning, and movement by steps on trained classes.

They are in the group ``unseen`` of the cube, so that metrics of trained classes (such as locality) exclude them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.collapse import nc1
from elastic.metrics.contract import metric
from elastic.metrics.elasticity import kernel_similarity, relative_similarity, response
from elastic.metrics.elasticity_errors import response_stderr
from elastic.metrics.separation import cdnv, cdnv_mean
from elastic.metrics.transfer import TransferFeatures, example_transfer, few_shot_accuracies, linear_probe_accuracy
from elastic.metrics.update import UpdateResponse, example_update, not_zero

__all__ = ["UnseenUpdate", "example_transfer", "example_unseen"]

GROUP = "unseen"
PAIR = ("stepped_class", "unseen_class")


@dataclass(frozen=True)
class UnseenUpdate:
    """Movements of samples of unseen classes under steps on samples of trained ones.

    Attributes
    ----------
    update
        Responses whose classes are the trained ones (stepped), followed by the unseen ones (observed).
    trained
        Number K of trained classes.
    """

    update: UpdateResponse
    trained: int

    def of_pairs(self, values: Tensor) -> Tensor:
        """Select the [K, U] block of values [K + U, K + U] for pairs of classes."""
        return values[: self.trained, self.trained :]


def example_unseen() -> UnseenUpdate:
    """Return one step on a sample of the only trained class, and three samples of an unseen one, moved by 3, 5 and 1.

    >>> example_unseen().update.norms.tolist()
    [[3.0, 5.0, 1.0]]
    """
    return UnseenUpdate(replace(example_update(), observed=torch.tensor([1, 1, 1])), trained=1)


@metric(
    group=GROUP,
    source="he2020local",
    formula="mean over a in j, m in u of |Δ(m;a)|",
    units="feature per unit learning rate",
    bounds=(0.0, None),
    dims=PAIR,
)
def response_unseen(unseen_update: UnseenUpdate) -> Tensor:
    r"""Movement of an unseen class's features under a step on a trained class.

    $R_{ju} = \operatorname{mean}_{a \in j,\, m \in u} \lVert \Delta(m;a) \rVert$, [K, U]: as response, for classes
    without an output of the network.

    Examples
    --------
    >>> response_unseen(example_unseen()).tolist()                    # (3 + 5 + 1)/3
    [[3.0]]
    """
    return unseen_update.of_pairs(response(unseen_update.update))


@metric(
    group=GROUP,
    source="cameron2011robust",
    formula="response_unseen * (exp(V/2 + t * sqrt(V)) - 1) / 2, V as of response_stderr, of log response_unseen",
    units="feature per unit learning rate",
    bounds=(0.0, None),
    dims=PAIR,
)
def response_unseen_stderr(unseen_update: UnseenUpdate) -> Tensor:
    r"""Standard error of the response of unseen classes over draws of samples.

    $R (e^{V/2 + t \sqrt V} - 1) / 2$, [K, U], with V and t as in response_stderr.

    Examples
    --------
    >>> response_unseen_stderr(example_unseen()).tolist()             # needs two stepped samples
    [[nan]]
    """
    return unseen_update.of_pairs(response_stderr(unseen_update.update))


@metric(
    group=GROUP,
    source="he2020local",
    formula="response_unseen / self_response",
    bounds=(0.0, None),
    dims=PAIR,
)
def relative_similarity_unseen(unseen_update: UnseenUpdate) -> Tensor:
    r"""Relative similarity of unseen classes: response of an unseen class over self-response.

    $S_{ju} = R_{ju} / R_j$, [K, U].

    Convention: a ratio of means over pairs, as relative_similarity.

    Examples
    --------
    >>> relative_similarity_unseen(example_unseen()).tolist()         # 3/8
    [[0.375]]
    """
    return unseen_update.of_pairs(relative_similarity(unseen_update.update))


@metric(group=GROUP, source="he2020local", formula="mean <Δ(m;a), Δ(a;a)> / mean |Δ(a;a)|²", dims=PAIR)
def kernel_similarity_unseen(unseen_update: UnseenUpdate) -> Tensor:
    r"""Signed similarity of unseen classes: their movement along the stepped sample's, over the latter's own.

    $\kappa_{ju} = P_{ju} / P_j$, [K, U].

    Convention: a ratio of means over pairs, as kernel_similarity.

    Examples
    --------
    >>> kernel_similarity_unseen(example_unseen()).tolist()           # (24 + 40 − 8)/3 / 64
    [[0.2916666666666667]]
    """
    return unseen_update.of_pairs(kernel_similarity(unseen_update.update))


@metric(
    group=GROUP,
    source="galanti2022role",
    formula="V_uv = (v_u+v_v)/(2‖μ_u-μ_v‖²)",
    bounds=(0.0, None),
    dims=("unseen_class", "other_unseen_class"),
)
def unseen_cdnv(unseen_statistics: ClassStatistics) -> Tensor:
    """Class-distance normalised variance of each pair of unseen classes [U, U].

    V_uv = (v_u + v_v) / (2‖μ_u - μ_v‖²), as cdnv; NaN on the diagonal and where two class means coincide.

    >>> h, y = torch.tensor([[-1.0], [1.0], [2.0], [2.0]]), torch.tensor([0, 0, 1, 1])
    >>> unseen_cdnv(ClassStatistics.of(h, y)).tolist()                # (1 + 0) / (2·2²)
    [[nan, 0.125], [0.125, nan]]
    """
    return cdnv(unseen_statistics)


@metric(group=GROUP, source="galanti2022role", formula="mean_{u≠v} V_uv", bounds=(0.0, None))
def unseen_cdnv_mean(unseen_statistics: ClassStatistics) -> Tensor:
    """Class-distance normalised variance of unseen classes, mean over pairs.

    Mean over u ≠ v of V_uv = (v_u + v_v) / (2‖μ_u - μ_v‖²). It bounds the few-shot error.

    >>> h, y = torch.tensor([[-1.0], [1.0], [2.0], [2.0]]), torch.tensor([0, 0, 1, 1])
    >>> unseen_cdnv_mean(ClassStatistics.of(h, y)).item()
    0.125
    """
    return cdnv_mean(unseen_statistics)


@metric(group=GROUP, source="papyan2020prevalence", formula="tr(Σ_W Σ_B⁺)/U", bounds=(0.0, None))
def unseen_nc1(unseen_statistics: ClassStatistics) -> Tensor:
    """NC1 of unseen classes: within-class variability relative to the spread of the class means.

    tr(Σ_W Σ_B⁺)/U over the U unseen classes.

    >>> h, y = torch.tensor([[-1.5], [-0.5], [0.5], [1.5]]), torch.tensor([0, 0, 1, 1])
    >>> round(unseen_nc1(ClassStatistics.of(h, y)).item(), 12)
    0.125
    """
    return nc1(unseen_statistics)


@metric(
    group=GROUP,
    source="galanti2022role",
    formula="mean over episodes and held m of [argmin_u |h_m - mean of s of u| = y_m]",
    bounds=(0.0, 1.0),
    dims=("shots",),
)
def unseen_few_shot_accuracy(unseen_transfer: TransferFeatures) -> Tensor:
    """Few-shot accuracy for unseen classes: nearest means of s samples of each, on other samples of these classes.

    Mean over episodes and held-out samples m of [argmin_u ‖h_m − μ̂_u‖ = y_m], μ̂_u the mean of s random samples of
    class u; [S], one value for each s.

    Convention: every episode includes all unseen classes; the episodes are the same at every epoch and layer.

    >>> unseen_few_shot_accuracy(example_transfer()).tolist()
    [0.75]
    """
    return few_shot_accuracies(unseen_transfer)


@metric(
    group=GROUP,
    source="hui2022limitations",
    formula="mean over held m of [argmax_u (W h_m + b)_u = y_m], W and b fitted to the other samples",
    bounds=(0.0, 1.0),
)
def unseen_linear_probe_accuracy(unseen_transfer: TransferFeatures) -> Tensor:
    """Accuracy of a linear probe for unseen classes, on held-out samples of these classes.

    Mean over held-out samples m of [argmax_u (W h_m + b)_u = y_m]; W and b minimise the mean cross-entropy on the other
    samples plus (λ/2)‖W‖², features scaled to a mean squared norm of 1.

    >>> unseen_linear_probe_accuracy(example_transfer()).item()
    1.0
    """
    return linear_probe_accuracy(unseen_transfer)


@metric(group=GROUP, source="benammar2024neco", formula="mean_k |cos(μ_k, mean of unseen h)|", bounds=(0.0, 1.0))
def nc5_orthogonality(seen_statistics: ClassStatistics, unseen_mean: Tensor) -> Tensor:
    r"""NC5: mean absolute cosine between the class means and the mean of all unseen samples; 0 if orthogonal.

    $\operatorname{mean}_k |\langle\mu_k, \mu_u\rangle| / (\lVert\mu_k\rVert \lVert\mu_u\rVert)$ with μ_u the mean of
    all unseen samples; NaN if a mean is zero.

    Convention: means about the origin, not about the global mean, as in the code of its authors.

    >>> h, y = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    >>> round(nc5_orthogonality(ClassStatistics.of(h, y), torch.tensor([3.0, 4.0])).item(), 12)      # (3/5 + 4/5)/2
    0.7
    """
    means, other = seen_statistics.means, unseen_mean.to(seen_statistics.means)
    cosines = (means / not_zero(means.norm(dim=1))[:, None]) @ (other / not_zero(other.norm()))
    return cosines.abs().clamp(max=1.0).mean()
