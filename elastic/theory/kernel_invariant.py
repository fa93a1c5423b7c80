"""The invariant of gradient flow with a class-blocked tangent kernel, and the flow of features and weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from elastic.errors import DegenerateInput, OptionError
from elastic.theory.optimum import FloatArray


def kernel_invariant(features: Any, labels: Any, weights: Any, kernel: tuple[float, float, float]) -> FloatArray:
    r"""Return the matrix E [d, d] that gradient flow conserves while its tangent kernel is constant in three blocks.

    $E = W^\top W - \frac{1}{\mu_{class}} H_1 H_1^\top - \frac{1}{\mu_{single}} H_2 H_2^\top
    - \frac{1}{\mu_{all}} H_0 H_0^\top$, where H = H₀ + H₁ + H₂ [d, N] are the features' global mean, the class means
    about it, and the deviations from the class means, each repeated for all samples.

    Let κ_d, κ_c, κ_n be the kernel of each feature for the same sample, the same class, and other classes, 0 between
    different features, and Θ [N, N] the kernel of the samples. Under squared error with residuals R = WH + b1ᵀ − Y, up
    to the loss's scale, which is one of time, dH/dt = −WᵀRΘ and dW/dt = −RHᵀ. With m samples of each of K classes the
    three parts of H lie in eigenspaces of Θ, with values μ_all = μ_class + Nκ_n, μ_class = μ_single + m(κ_c − κ_n),
    μ_single = κ_d − κ_c. So dH_i/dt = −μ_i WᵀR_i, and d(WᵀW)/dt = −Σ_i (WᵀR_iH_iᵀ + H_iR_iᵀW) is the sum of the
    d(H_iH_iᵀ)/dt / μ_i. A bias changes only R; once it is optimal, R₀ = 0, and H₀ no longer moves.

    Parameters
    ----------
    features
        [N, d] of the last hidden layer, of balanced classes.
    labels
        [N].
    weights
        [K, d] of the last layer.
    kernel
        (κ_d, κ_c, κ_n) of one feature. The variables kernel_same_sample, kernel_same_class and kernel_other_class are
        sums over the features of a layer: divide them by its width.

    Returns
    -------
    numpy.ndarray
        E, symmetric.

    Raises
    ------
    ElasticError
        OptionError for arrays that do not fit together or a kernel without κ_d > κ_c > κ_n ≥ 0; DegenerateInput for
        unbalanced classes, whose parts are not in eigenspaces.

    Notes
    -----
    The invariant is from seleznova2023neural; the derivation above is elastic's own check of it. The authors' scripts
    keep the mean in the class means, and add αK²m h̄h̄ᵀ/μ_class with α = mκ_n/μ_all. That is the same E, since
    1 − αK = μ_class/μ_all. The probe ``tangent_kernel`` records its trace and norm
    (`elastic.metrics.kernel_invariant`).

    Examples
    --------
    Two classes of one sample at ±1, W = (1, −1): WᵀW is 2, H₁H₁ᵀ is 2, μ_class = (3 − 2) + (2 − 1):

    >>> kernel_invariant([[1.0], [-1.0]], [0, 1], [[1.0], [-1.0]], (3.0, 2.0, 1.0)).tolist()
    [[1.0]]
    """
    H, W = np.asarray(features, dtype=float), np.asarray(weights, dtype=float)
    classes, numbers, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    if H.ndim != 2 or W.ndim != 2 or len(H) != len(numbers) or H.shape[1] != W.shape[1]:
        shapes = f"shapes {H.shape}, {np.shape(labels)} and {W.shape}"
        raise OptionError("`features`", "be [N, d], with labels [N] and weights [K, d]", shapes, "weights of [K, d]")
    if len(classes) < 2 or np.ptp(counts):
        raise DegenerateInput(
            "`labels`", "have as many samples of each of two classes or more", f"{counts.tolist()}", "a balanced subset"
        )
    single, of_class, of_all = kernel_eigenvalues(kernel, int(counts[0]), len(classes))
    means = np.stack([H[numbers == k].mean(axis=0) for k in range(len(classes))])[numbers]
    overall = np.broadcast_to(H.mean(axis=0), H.shape)
    parts = ((overall, of_all), (means - overall, of_class), (H - means, single))
    invariant: FloatArray = W.T @ W - sum(part.T @ part / value for part, value in parts)
    return invariant


def kernel_eigenvalues(kernel: tuple[float, float, float], per_class: int, classes: int) -> tuple[float, float, float]:
    """Return (μ_single, μ_class, μ_all) of a class-blocked kernel (κ_d, κ_c, κ_n).

    They belong to deviations from class means, class means about the global mean, and the global mean.

    Raises
    ------
    ElasticError
        OptionError without κ_d > κ_c > κ_n ≥ 0.

    Examples
    --------
    >>> kernel_eigenvalues((3.0, 2.0, 1.0), per_class=4, classes=2)         # 1, 1 + 4·1, 5 + 8·1
    (1.0, 5.0, 13.0)
    """
    same, within, other = map(float, kernel)
    if not same > within > other >= 0:
        should = "be (κ_d, κ_c, κ_n) with κ_d > κ_c > κ_n ≥ 0"
        raise OptionError("`kernel`", should, repr(tuple(kernel)), "kernel=(3.0, 2.0, 1.0)")
    single = same - within
    of_class = single + per_class * (within - other)
    return single, of_class, of_class + per_class * classes * other
