r"""The invariant of gradient flow with a class-blocked tangent kernel, at the last layer of a network.

Gradient flow on the squared error of all N train samples, m of each class, conserves the matrix [d, d]
$E = W^\top W - H_1 H_1^\top / \mu_{class} - H_2 H_2^\top / \mu_{single} - H_0 H_0^\top / \mu_{all}$ of the weights W of
a linear last layer and the features that enter it, their global mean H₀, class means about it H₁, and deviations from
the class means H₂, each repeated for all samples (seleznova2023neural; derived in `elastic.theory.kernel_invariant`).
It holds under assumptions that a network does not fulfil exactly: full-batch steps that are short, without momentum and
decay; equal classes; and the tangent kernel of the features constant, the same for each feature, 0 between different
ones, with one value for a sample with itself (κ_d), within (κ_c) and between classes (κ_n). How far the kernel is from
three values is `kernel_block_residual`. Elsewhere E moves, and by how much says how far the theory applies.

The authors' scripts report the norm of E and the alignment of its terms, with the features and the m of a batch; here
they are those of all train samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.tangent_kernel import GROUP, TangentKernel, example_kernel
from elastic.metrics.update import not_zero

SQUARED_WEIGHT = "squared weight"
FORMULA = "W'W - H1 H1'/μ_class - H2 H2'/μ_single - H0 H0'/μ_all"


@dataclass(frozen=True)
class LastLayer:
    """Weights of a linear last layer, and the features of all train samples that enter it, by their moments.

    Attributes
    ----------
    weights
        [O, d] float64.
    means
        [K, d] class means, NaN for a class without samples.
    scatter
        [d, d] sum over samples of (h − μ_k)(h − μ_k)ᵀ.
    counts
        [K] samples of each class.
    kernel
        Tangent kernel of these features; its three values need not be those of all train samples.
    """

    weights: Tensor
    means: Tensor
    scatter: Tensor
    counts: Tensor
    kernel: TangentKernel

    @cached_property
    def eigenvalues(self) -> Tensor:
        """(μ_single, μ_class, μ_all) of one feature [3], for deviations, class means and the global mean.

        NaN where one is not positive, or classes are not equal: H₀, H₁ and H₂ are then in no eigenspaces.
        """
        kernel, per_class, width = self.kernel, self.counts[0], self.means.shape[1]
        averages = [kernel.average(pairs) for pairs in (kernel.same_sample, kernel.same_class, kernel.other_class)]
        same, within, other = (average / width for average in averages)
        single = same - within
        of_class = single + per_class * (within - other)
        values = torch.stack([single, of_class, of_class + self.counts.sum() * other])
        holds = bool((values > 0).all()) and bool((self.counts == per_class).all())
        return values if holds else torch.full_like(values, torch.nan)

    @cached_property
    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The terms WᵀW, H₀H₀ᵀ/μ_all, H₁H₁ᵀ/μ_class and H₂H₂ᵀ/μ_single [d, d]."""
        single, of_class, of_all = self.eigenvalues
        overall = self.means.mean(0, keepdim=True)
        centred = self.means - overall
        return (
            self.weights.T @ self.weights,
            self.counts.sum() * overall.T @ overall / of_all,
            self.counts[0] * centred.T @ centred / of_class,
            self.scatter / single,
        )

    @cached_property
    def invariant(self) -> Tensor:
        """The matrix E [d, d]."""
        weights, overall, of_class, single = self.parts
        return weights - overall - of_class - single


def example_last_layer() -> LastLayer:
    """Return one feature of two classes of two samples, all at +1 and at −1, weights 1 and −1, and `example_kernel`.

    The kernel is 4, 2 and 1: μ_single is 4 − 2, μ_class 2 + 2·(2 − 1), and μ_all 4 + 4·1.

    >>> example_last_layer().eigenvalues.tolist()
    [2.0, 4.0, 8.0]
    """
    ends = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    return LastLayer(ends, ends, torch.zeros(1, 1).double(), torch.tensor([2.0, 2.0]).double(), example_kernel())


@metric(group=GROUP, source="seleznova2023neural", formula=f"tr({FORMULA})", units=SQUARED_WEIGHT, layerless=True)
def kernel_invariant_trace(last_layer: LastLayer) -> Tensor:
    """Trace of the invariant E of a class-blocked tangent kernel, tr(WᵀW − H₁H₁ᵀ/μ_class − H₂H₂ᵀ/μ_single − …), [].

    Convention: features of all train samples, weights of the last layer without its bias, and the kernel's mean values
    on the probe's samples. Constant only under the assumptions of `elastic.metrics.kernel_invariant`: squared error,
    gradient flow without decay, equal classes, a constant class-blocked kernel. NaN if classes are not equal or an
    eigenvalue is not positive.

    >>> kernel_invariant_trace(example_last_layer()).item()                # 2 − 4/4: H₁ is (1, 1, −1, −1), H₀ and H₂ 0
    1.0
    """
    return last_layer.invariant.trace()


@metric(
    group=GROUP,
    source="seleznova2023neural",
    formula=f"|{FORMULA}|",
    units=SQUARED_WEIGHT,
    bounds=(0.0, None),
    layerless=True,
)
def kernel_invariant_norm(last_layer: LastLayer) -> Tensor:
    """Frobenius norm of the invariant E of a class-blocked tangent kernel, ‖E‖; conserved as E is, [].

    Convention: as kernel_invariant_trace.

    >>> kernel_invariant_norm(example_last_layer()).item()
    1.0
    """
    size: Tensor = last_layer.invariant.norm()
    return size


@metric(
    group=GROUP,
    source="seleznova2023neural",
    formula="<W'W, R> / (|W'W| |R|), R = W'W - E",
    bounds=(0.0, 1.0),
    layerless=True,
)
def kernel_invariant_alignment(last_layer: LastLayer) -> Tensor:
    """Cosine of WᵀW with the features' terms R = WᵀW − E of the invariant, ⟨WᵀW, R⟩/(‖WᵀW‖ ‖R‖); 1 if E is 0, [].

    Convention: as kernel_invariant_trace. Both matrices are positive semidefinite.

    >>> kernel_invariant_alignment(example_last_layer()).item()            # of one feature: (2)(1) / (2·1)
    1.0
    """
    weights, overall, of_class, single = last_layer.parts
    features = overall + of_class + single
    cosine: Tensor = (weights * features).sum() / not_zero(weights.norm() * features.norm())
    return cosine.clamp(0.0, 1.0)


@metric(
    group=GROUP,
    source="seleznova2023neural",
    formula="tr(W'W)",
    units=SQUARED_WEIGHT,
    bounds=(0.0, None),
    layerless=True,
)
def kernel_invariant_weights(last_layer: LastLayer) -> Tensor:
    """The weights' term of kernel_invariant_trace, tr(WᵀW) = ‖W‖², [].

    >>> kernel_invariant_weights(example_last_layer()).item()
    2.0
    """
    return last_layer.parts[0].trace()


@metric(
    group=GROUP,
    source="seleznova2023neural",
    formula="|H0|² / μ_all",
    units=SQUARED_WEIGHT,
    bounds=(0.0, None),
    layerless=True,
)
def kernel_invariant_mean(last_layer: LastLayer) -> Tensor:
    """The global mean's term of kernel_invariant_trace, ‖H₀‖²/μ_all = N ‖μ_G‖²/μ_all, [].

    Convention: as kernel_invariant_trace, which subtracts it.

    >>> kernel_invariant_mean(example_last_layer()).item()
    0.0
    """
    return last_layer.parts[1].trace()


@metric(
    group=GROUP,
    source="seleznova2023neural",
    formula="|H1|² / μ_class",
    units=SQUARED_WEIGHT,
    bounds=(0.0, None),
    layerless=True,
)
def kernel_invariant_between(last_layer: LastLayer) -> Tensor:
    """The class means' term of kernel_invariant_trace, ‖H₁‖²/μ_class = m Σ_k ‖μ_k − μ_G‖²/μ_class, [].

    Convention: as kernel_invariant_trace, which subtracts it.

    >>> kernel_invariant_between(example_last_layer()).item()              # 4/4
    1.0
    """
    return last_layer.parts[2].trace()


@metric(
    group=GROUP,
    source="seleznova2023neural",
    formula="|H2|² / μ_single",
    units=SQUARED_WEIGHT,
    bounds=(0.0, None),
    layerless=True,
)
def kernel_invariant_within(last_layer: LastLayer) -> Tensor:
    """The deviations' term of kernel_invariant_trace, ‖H₂‖²/μ_single = Σ ‖h − μ_k‖²/μ_single, [].

    Convention: as kernel_invariant_trace, which subtracts it.

    >>> kernel_invariant_within(example_last_layer()).item()
    0.0
    """
    return last_layer.parts[3].trace()
