r"""Decomposition of the squared loss by Han, Papyan and Donoho, for runs trained with that loss.

The loss is L(W, b) = ½ mean_i ‖W h_i + b - e_y(i)‖² + (λ/2) ‖[W, b]‖²_F. Features h̃ have an additional last
entry 1, so that the bias is the last column of W. With W_LS the minimiser of the loss for fixed features,

    L = L_LS + L_⊥            L_LS = L(W_LS),  L_⊥ = ½ tr (W - W_LS)(Σ_T̃ + λI)(W - W_LS)ᵀ
    L_LS = L_NC1 + L_NC2/3    L_NC1 = ½ tr W_LS(Σ_W + λI)W_LSᵀ,  L_NC2/3 = ½ Σ_k (n_k/N) ‖W_LS μ̃_k - e_k‖²

with Σ_T̃ = (1/N) Σ_i h̃_i h̃_iᵀ. Traces are taken over samples: no d×d matrix is formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.errors import DegenerateInput
from elastic.metrics.contract import metric
from elastic.metrics.moments import vectors
from elastic.metrics.rounding import magnitude


@dataclass(frozen=True)
class LeastSquares:
    """The terms of the decomposition, each a float64 scalar.

    Attributes
    ----------
    optimum
        L_LS, the smallest loss of any classifier on these features.
    perpendicular
        L_⊥, the excess loss of the network's classifier.
    nc1
        Part of L_LS due to within-class variability (and to the penalty).
    nc23
        Part of L_LS due to the positions of the class means.
    """

    optimum: Tensor
    perpendicular: Tensor
    nc1: Tensor
    nc23: Tensor


def read_least_squares(
    features: Tensor, labels: Tensor, classes: int, weights: Tensor, bias: Tensor | None, ridge: float
) -> LeastSquares:
    """Decompose the squared loss of the last layer's classifier.

    Classes are weighted by their numbers of samples, as in the loss; the bias is penalised like the weights.

    Parameters
    ----------
    features
        [N, …] input features of the classifier.
    labels
        [N] int64 in 0..K-1.
    classes
        Number of classes K.
    weights
        [K, d].
    bias
        [K], or None for a classifier without bias.
    ridge
        λ ≥ 0 of the loss ½ mean ‖Wh + b - e_y‖² + (λ/2) ‖[W, b]‖²_F. For λ = 0, W_LS is the
        least-squares solution of minimal norm.

    Raises
    ------
    DegenerateInput
        For a class without samples, features that are not finite, or weights of another shape.

    Examples
    --------
    >>> h, y = torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1])
    >>> W = torch.tensor([[-1.0], [0.0]])  # W_LS = (-½, ½): it errs by ½ in every logit of every sample
    >>> parts = read_least_squares(h, y, 2, W, None, 0.0)
    >>> round(parts.optimum.item(), 12), round(parts.perpendicular.item(), 12)
    (0.25, 0.25)
    """
    x, W = vectors(features), vectors(weights)
    _check(x, labels, W, classes)
    if ridge == 0:
        # Without a penalty the loss is scale-invariant: normalise, so that the rank cut does not depend on the unit.
        scale = magnitude(x)
        x, W = x / scale, W * scale
    if bias is not None:
        x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
        W = torch.cat([W, vectors(bias).to(W)], dim=1)
    Y = torch.nn.functional.one_hot(labels.to(x.device), classes).to(x)
    best = _ridge_solution(x, Y, ridge)
    means = (Y.T @ x) / Y.sum(0)[:, None]
    penalty = ridge / 2 * best.square().sum()

    def half_mean_square(residuals: Tensor) -> Tensor:
        return residuals.square().sum() / (2 * len(x))

    return LeastSquares(
        optimum=half_mean_square(x @ best.T - Y) + penalty,
        perpendicular=half_mean_square(x @ (W - best).T) + ridge / 2 * (W - best).square().sum(),
        nc1=half_mean_square((x - Y @ means) @ best.T) + penalty,
        nc23=half_mean_square(Y @ (means @ best.T - torch.eye(classes).to(x))),
    )


@metric(source="han2022neural", formula="L_LS = min_W L(W)", bounds=(0.0, None), layerless=True)
def mse_least_squares(least_squares: LeastSquares) -> Tensor:
    """Squared loss of the optimal linear classifier for the current features.

    L_LS = min_{W,b} ½ mean_i ‖W h_i + b - e_y(i)‖² + (λ/2) ‖[W, b]‖²_F.

    Convention: classes are weighted by n_k, as in the loss; the bias is penalised like the weights.

    >>> h, y = torch.tensor([[-1.5], [-0.5], [0.5], [1.5]]), torch.tensor([0, 0, 1, 1])
    >>> parts = read_least_squares(h, y, 2, torch.zeros(2, 1), None, 0.0)  # W_LS = (-2/5, 2/5)
    >>> round(mse_least_squares(parts).item(), 12)
    0.3
    """
    return least_squares.optimum


@metric(source="han2022neural", formula="L_⊥ = ½ tr (W-W_LS)(Σ_T̃+λI)(W-W_LS)ᵀ", bounds=(0.0, None), layerless=True)
def mse_perpendicular(least_squares: LeastSquares) -> Tensor:
    """Excess squared loss of the network's classifier over the optimal one; L = L_LS + L_⊥.

    L_⊥ = ½ tr (W - W_LS)(Σ_T̃ + λI)(W - W_LS)ᵀ with Σ_T̃ = (1/N) Σ_i h̃_i h̃_iᵀ.

    Convention: classes are weighted by n_k, as in the loss; the bias is penalised like the weights.

    >>> h, y = torch.tensor([[-1.5], [-0.5], [0.5], [1.5]]), torch.tensor([0, 0, 1, 1])
    >>> parts = read_least_squares(h, y, 2, torch.zeros(2, 1), None, 0.0)  # ½ (2/5)² (1 + 1) 5/4
    >>> round(mse_perpendicular(parts).item(), 12)
    0.2
    """
    return least_squares.perpendicular


@metric(source="han2022neural", formula="L_NC1 = ½ tr W_LS(Σ_W+λI)W_LSᵀ", bounds=(0.0, None), layerless=True)
def mse_nc1(least_squares: LeastSquares) -> Tensor:
    """Contribution of within-class variability to the least-squares loss; L_LS = L_NC1 + L_NC2/3.

    L_NC1 = ½ tr W_LS (Σ_W + λI) W_LSᵀ.

    Convention: includes the penalty of W_LS, as in the paper, so that it stays above 0 at collapse if λ > 0.

    >>> h, y = torch.tensor([[-1.5], [-0.5], [0.5], [1.5]]), torch.tensor([0, 0, 1, 1])
    >>> parts = read_least_squares(h, y, 2, torch.zeros(2, 1), None, 0.0)  # ½ (2/5)² (1 + 1) 1/4
    >>> round(mse_nc1(parts).item(), 12)
    0.04
    """
    return least_squares.nc1


@metric(source="han2022neural", formula="L_NC2/3 = ½ Σ_k (n_k/N) ‖W_LS μ̃_k - e_k‖²", bounds=(0.0, None), layerless=True)
def mse_nc23(least_squares: LeastSquares) -> Tensor:
    """Contribution of the positions of the class means to the least-squares loss; L_LS = L_NC1 + L_NC2/3.

    L_NC2/3 = ½ Σ_k (n_k/N) ‖W_LS μ̃_k - e_k‖².

    Convention: classes are weighted by n_k, so that the identity is exact (the paper has equal counts).

    >>> h, y = torch.tensor([[-1.5], [-0.5], [0.5], [1.5]]), torch.tensor([0, 0, 1, 1])
    >>> parts = read_least_squares(h, y, 2, torch.zeros(2, 1), None, 0.0)  # ½ ((3/5)² + (2/5)²)
    >>> round(mse_nc23(parts).item(), 12)
    0.26
    """
    return least_squares.nc23


def _ridge_solution(x: Tensor, Y: Tensor, ridge: float) -> Tensor:
    """Return W_LS [K, d] = (1/N) Yᵀx (xᵀx/N + λI)⁺ by the thin decomposition of x [N, d]."""
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    # s / (s² + Nλ), arranged to avoid the square, which underflows or overflows earlier than s
    gain = 1 / (s + len(x) * ridge / s)
    if ridge == 0:
        # The definition uses the pseudo-inverse: an inverse would amplify rounding errors in unused directions.
        gain = gain.masked_fill(s <= max(x.shape) * torch.finfo(x.dtype).eps * s.max(), 0.0)
    best: Tensor = (Y.T @ u * gain) @ vh
    return best


def _check(x: Tensor, labels: Tensor, W: Tensor, classes: int) -> None:
    present = labels.unique().tolist()
    if present != list(range(classes)):
        raise DegenerateInput("`labels`", f"name every class of 0..{classes - 1}", str(present), "more samples a class")
    if not bool(x.isfinite().all()):
        raise DegenerateInput("`features`", "be finite", "NaN or infinity", "an earlier epoch")
    if W.shape != (classes, x.shape[1]):
        raise DegenerateInput(
            "`weights`", f"be of shape {[classes, x.shape[1]]}", str(list(W.shape)), "the classifier's weights"
        )
