r"""Rounding errors of class means, and norms and scales without overflow or underflow.

The computed mean μ̂_k of class k differs from the exact mean μ_k for two reasons:

- *Storage.* Each feature is rounded to its type of relative spacing ε: the error of h is at most (ε/2)|h| in each
  coordinate, and that of the mean ‖δμ_k‖ ≤ (ε/2) mean_i ‖h_i‖. For dtypes shorter than float32, rounding errors average
  out over many samples if these spread over more than the spacing: four standard errors of n_k independent errors are
  at most 4/√n_k of that bound. The precision of a mean is assumed to be no better than ε of float32.
- *Arithmetic.* A sum of n_k terms in float64 (unit roundoff u = 2⁻⁵³) has an error of about √n_k·u times the sum of
  their absolute values, as rounding errors have random signs; subtracting the origin o and the mean of means adds a few
  u. With x_i = h_i - o the error is about (√n_k + 4)·u·mean_i ‖x_i‖.

Their sum r_k is `ClassStatistics.mean_rounding`, in the unit of the features. It scales with the samples, not with the
means: a mean that cancels (samples ±a about 0) has the errors of its samples. Every test for zero uses it:

- class means j and k coincide where ‖μ̂_j - μ̂_k‖ ≤ r_j + r_k;
- class mean k lies on the global mean where ‖μ̂_k - μ̂_G‖ ≤ r_k + mean_j r_j;
- all class means coincide where all lie on the global mean (this follows if they coincide in pairs);
- all class means are zero where ‖μ̂_k‖ ≤ r_k for every k;
- a singular value of rows √w_k (μ̂_k - μ̂) is rounding where it is at most the norm of rows √w_k δμ_k: no more than
  (Σ_k w_k r_k²)^½, and for independent errors about max_k √w_k r_k (1 + √(K/d)), of which twice is allowed.

Distances above these bounds are significant, however small: float32 features whose means differ by 10⁻⁶ of their size
keep that difference.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Unit roundoff of float64.
UNIT = torch.finfo(torch.float64).eps / 2


def spacing(dtype: torch.dtype) -> float:
    """Return the relative spacing ε of stored features; that of float64 for integers, which are exact.

    >>> spacing(torch.float32) == 2.0**-23, spacing(torch.uint8) == spacing(torch.float64) == 2.0**-52
    (True, True)
    """
    return torch.finfo(dtype if dtype.is_floating_point else torch.float64).eps


def mean_rounding(dtype: torch.dtype, counts: Tensor, lengths: Tensor, spread: Tensor, arithmetic: Tensor) -> Tensor:
    """Return r_k [K], the rounding error of each class mean (see the module docstring).

    Parameters
    ----------
    dtype
        Type in which the features are stored.
    counts
        [K] samples n_k.
    lengths
        [K] mean_i ‖h_i‖ of the features as they are stored.
    spread
        [K] root mean square distance of the features from their class mean.
    arithmetic
        [K] from `arithmetic_rounding`.

    Examples
    --------
    >>> one, counts = torch.ones(3, dtype=torch.float64), torch.tensor([4.0, 6400.0, 6400.0])
    >>> known = mean_rounding(torch.float16, counts, one, torch.tensor([0.1, 0.1, 0.0]), 0 * one)
    >>> (known * 2**11).tolist()      # ε/2 = 2⁻¹¹; averaged over 6400 samples 4/80 of it, unless all are rounded alike
    [1.0, 0.05, 1.0]
    """
    eps, finest = spacing(dtype), min(spacing(dtype), spacing(torch.float32))
    averaged = torch.where(spread >= eps * lengths, (4 / counts.double().sqrt()).clamp(max=1.0), 1.0)
    return (eps / 2 * averaged).clamp(min=finest / 2) * lengths + arithmetic


def arithmetic_rounding(counts: Tensor, lengths: Tensor) -> Tensor:
    """Return the error [K] of means of n_k samples computed in float64, with ``lengths`` [K] = mean_i ‖x_i‖.

    >>> (arithmetic_rounding(torch.tensor([16.0]), torch.tensor([3.0]).double()) / UNIT).tolist()      # (√16 + 4)·3
    [24.0]
    """
    return (counts.double().sqrt() + 4) * UNIT * lengths


def rounding_of_rows(rounding: Tensor, weights: Tensor, width: int) -> Tensor:
    """Return the norm of the rounding of rows √w_k (μ_k - mean) [K, d], below which a singular value is none.

    >>> known, weights = torch.tensor([3.0, 4.0]).double(), torch.ones(2).double()
    >>> rounding_of_rows(known, weights, 1).item()               # (3² + 4²)^½ is less than 2·4·(1 + √2)
    5.0
    """
    rows = weights.sqrt() * rounding
    return torch.minimum(norm(rows), 2 * rows.max() * (1 + (len(rows) / width) ** 0.5))


def magnitude(values: Tensor, dim: int | None = None) -> Tensor:
    """Return the power of two above the largest |value| (1 if all are zero), a scalar or along ``dim``.

    Division by it is exact and keeps squares from overflowing or underflowing.

    >>> magnitude(torch.tensor([[3.0, -5.0], [0.0, 0.0]]), dim=1).tolist()
    [[8.0], [1.0]]
    """
    exponent = torch.frexp(largest(values, dim).double()).exponent.clamp(-1000, 1000)
    return torch.exp2(exponent.double()).to(values.device)


def largest(values: Tensor, dim: int | None = None) -> Tensor:
    """Return the largest |value|, a scalar or along ``dim`` (kept, of length 1), without a copy of the values.

    >>> largest(torch.tensor([[3.0, -5.0], [0.0, 0.0]])).item()
    5.0
    """
    low, high = values.aminmax() if dim is None else values.aminmax(dim=dim, keepdim=True)
    return torch.maximum(-low, high)


def row_norms(rows: Tensor) -> Tensor:
    """Return ‖row‖ [n] of many float64 rows at once; rows 10⁵⁰ times smaller than the largest may count as 0.

    >>> row_norms(torch.tensor([[3.0, 4.0], [0.0, 0.0]]).double() * 2.0**-700).mul(2.0**700).tolist()
    [5.0, 0.0]
    """
    if rows.device.type != "cpu":  # reading the size would wait for all work before it
        return norm(rows, dim=1)
    size = float(largest(rows))
    return torch.linalg.vector_norm(rows, dim=1) if 1e-100 < size < 1e100 else norm(rows, dim=1)


def norm(values: Tensor, dim: int | None = None) -> Tensor:
    """Return √Σ v² of all values, or along ``dim``, in float64, at any scale of the values.

    >>> tiny = torch.tensor([[3.0, 4.0]]).double() * 2.0**-700            # squares underflow
    >>> (norm(tiny, dim=1) * 2.0**700).tolist()
    [5.0]
    """
    scale = magnitude(values, dim)
    root = (values.double() / scale).square().sum(dim).sqrt()
    return root * (scale if dim is None else scale.squeeze(dim))


def unit(values: Tensor) -> Tensor:
    """Return values divided by their norm √Σ v², at any scale; NaN if all are zero.

    >>> unit(torch.tensor([3e-200, 4e-200], dtype=torch.float64)).tolist(), unit(torch.zeros(1)).tolist()
    ([0.6, 0.8], [nan])
    """
    scaled = values.double() / magnitude(values)
    return scaled / norm(scaled)


def pair_distances(rows: Tensor) -> Tensor:
    """Return ‖row_j - row_k‖ [K, K] in float64, at any scale.

    >>> pair_distances(torch.tensor([[0.0], [3e-200]], dtype=torch.float64)).tolist()
    [[0.0, 3e-200], [3e-200, 0.0]]
    """
    scale = magnitude(rows)
    scaled = rows.double() / scale
    # Differences, not a Gram matrix, which cancels for close rows far from the origin.
    return torch.cdist(scaled, scaled, compute_mode="donot_use_mm_for_euclid_dist") * scale
