r"""Class averages of each layer's tangent kernel, without the sample weights of a loss.

$\Theta(x, x') = \sum_i \langle \nabla_\theta h_i(x), \nabla_\theta h_i(x') \rangle$ sums over the features of a layer.
For a random direction v of signs, $\langle \nabla_\theta v \cdot h(x), \nabla_\theta v \cdot h(x') \rangle$ has this
expectation. Neural collapse is proved for kernels of three values: κ_d of a sample with itself, κ_c within classes and
κ_n between them (seleznova2023neural).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.rounding import UNIT
from elastic.metrics.update import not_zero

GROUP = "tangent_kernel"
UNITS = "squared feature per squared parameter"


@dataclass(frozen=True)
class TangentKernel:
    """Tangent kernel of n samples in one layer, direction by direction.

    Attributes
    ----------
    grams
        [R, n, n] float64 inner products of the gradients along each direction.
    labels
        [n] int64.
    classes
        Number of classes K.
    exact
        Whether the directions are all features, so that the kernel is a sum over them; else it is a mean.
    """

    grams: Tensor
    labels: Tensor
    classes: int
    exact: bool

    @cached_property
    def kernel(self) -> Tensor:
        """Θ of each pair of samples [n, n]."""
        return self.grams.sum(0) if self.exact else self.grams.mean(0)

    def average(self, pairs: Tensor) -> Tensor:
        """Return the mean of Θ over pairs [n, n] bool, NaN if there is none."""
        return (self.kernel * pairs).sum() / not_zero(pairs.sum().double())

    def stderr(self, pairs: Tensor) -> Tensor:
        """Return the standard error of that mean over random directions, 0 of an exact kernel."""
        if self.exact:
            return torch.zeros_like(self.average(pairs))
        means = (self.grams * pairs).sum(dim=(1, 2)) / not_zero(pairs.sum().double())
        error: Tensor = means.std() / len(means) ** 0.5
        return error

    @property
    def same_sample(self) -> Tensor:
        """Pairs of a sample with itself [n, n]."""
        return torch.eye(len(self.labels), dtype=torch.bool, device=self.labels.device)

    @property
    def same_class(self) -> Tensor:
        """Pairs of different samples of one class [n, n]."""
        return (self.labels[:, None] == self.labels) & ~self.same_sample

    @property
    def other_class(self) -> Tensor:
        """Pairs of samples of different classes [n, n]."""
        return self.labels[:, None] != self.labels

    def of_means(self) -> Tensor:
        """Return the inner products of the class means in the kernel's feature space [K, K], NaN without samples."""
        members = torch.nn.functional.one_hot(self.labels, self.classes).double()
        members = members / not_zero(members.sum(0))
        return members.T @ self.kernel @ members


def example_kernel() -> TangentKernel:
    """Return a kernel of two classes of two samples: 4 of a sample with itself, 2 within classes, 1 between.

    >>> example_kernel().kernel[0].tolist()
    [4.0, 2.0, 1.0, 1.0]
    """
    labels = torch.tensor([0, 0, 1, 1])
    kernel = 1.0 + (labels[:, None] == labels).double() + 2 * torch.eye(4, dtype=torch.float64)
    return TangentKernel(kernel[None], labels, 2, exact=True)


@metric(group=GROUP, source="seleznova2023neural", formula="κ_d = mean Θ(x, x)", units=UNITS, bounds=(0.0, None))
def kernel_same_sample(tangent_kernel: TangentKernel) -> Tensor:
    """Tangent kernel of a sample with itself, κ_d = mean over samples of Θ(x, x), [].

    >>> kernel_same_sample(example_kernel()).item()
    4.0
    """
    return tangent_kernel.average(tangent_kernel.same_sample)


@metric(group=GROUP, source="seleznova2023neural", formula="κ_c = mean Θ(x, x') within classes", units=UNITS)
def kernel_same_class(tangent_kernel: TangentKernel) -> Tensor:
    """Tangent kernel of two samples of one class, κ_c = mean over pairs of different ones of Θ(x, x'), [].

    >>> kernel_same_class(example_kernel()).item()
    2.0
    """
    return tangent_kernel.average(tangent_kernel.same_class)


@metric(group=GROUP, source="seleznova2023neural", formula="κ_n = mean Θ(x, x') between classes", units=UNITS)
def kernel_other_class(tangent_kernel: TangentKernel) -> Tensor:
    """Tangent kernel of two samples of different classes, κ_n = mean over such pairs of Θ(x, x'), [].

    >>> kernel_other_class(example_kernel()).item()
    1.0
    """
    return tangent_kernel.average(tangent_kernel.other_class)


@metric(
    group=GROUP, source="seleznova2023neural", formula="std over directions / sqrt(R)", units=UNITS, bounds=(0.0, None)
)
def kernel_same_class_stderr(tangent_kernel: TangentKernel) -> Tensor:
    """Standard error of kernel_same_class over R random directions: s/√R, 0 where all features are summed, [].

    >>> kernel_same_class_stderr(example_kernel()).item()
    0.0
    """
    return tangent_kernel.stderr(tangent_kernel.same_class)


@metric(
    group=GROUP, source="seleznova2023neural", formula="std over directions / sqrt(R)", units=UNITS, bounds=(0.0, None)
)
def kernel_other_class_stderr(tangent_kernel: TangentKernel) -> Tensor:
    """Standard error of kernel_other_class over R random directions: s/√R, 0 where all features are summed, [].

    >>> kernel_other_class_stderr(example_kernel()).item()
    0.0
    """
    return tangent_kernel.stderr(tangent_kernel.other_class)


@metric(
    group=GROUP,
    source="seleznova2023neural",
    formula="mean Θ(x, x') of x in j, x' in k",
    units=UNITS,
    dims=("class", "other_class"),
)
def kernel_block(tangent_kernel: TangentKernel) -> Tensor:
    """Tangent kernel by pairs of classes, Θ_jk = mean over x in j, x' in k, x' ≠ x, of Θ(x, x'), [K, K].

    >>> kernel_block(example_kernel()).tolist()
    [[2.0, 1.0], [1.0, 2.0]]
    """
    members = torch.nn.functional.one_hot(tangent_kernel.labels, tangent_kernel.classes).double()
    apart = (~tangent_kernel.same_sample).double()
    return members.T @ (tangent_kernel.kernel * apart) @ members / not_zero(members.T @ apart @ members)


@metric(
    group=GROUP,
    source="seleznova2023neural",
    formula="<Θ, T> / (|Θ| |T|), T = [y = y']",
    bounds=(-1.0, 1.0),
)
def kernel_target_alignment(tangent_kernel: TangentKernel) -> Tensor:
    """Alignment of the tangent kernel with the classes, ⟨Θ, T⟩ / (‖Θ‖ ‖T‖) with T(x, x') = [y = y'], [].

    Convention: neither matrix is centred.

    >>> round(kernel_target_alignment(example_kernel()).item(), 6)    # 24 / (√(4·16 + 4·4 + 8) √8)
    0.904534
    """
    kernel = tangent_kernel.kernel
    target = (tangent_kernel.labels[:, None] == tangent_kernel.labels).double()
    return (kernel * target).sum() / not_zero(kernel.norm() * target.norm())


@metric(
    group=GROUP,
    source="kothapalli2025kernel",
    formula="tr Σ_W / tr Σ_B of the kernel's feature map",
    bounds=(0.0, None),
)
def kernel_nc1(tangent_kernel: TangentKernel) -> Tensor:
    """Within-class variability of the kernel's features relative to the spread of their means, tr Σ_W / tr Σ_B, [].

    Both follow from Θ alone: ‖φ(x) − μ_k‖² and ‖μ_k − μ_G‖² are sums of inner products. NaN if the means coincide.

    >>> kernel_nc1(example_kernel()).item()       # 4 − 3, over 3 − (3 + 1)/2
    1.0
    """
    of_means = tangent_kernel.of_means()
    counts = tangent_kernel.labels.bincount(minlength=tangent_kernel.classes).double()
    kernel = tangent_kernel.kernel
    within = kernel.diagonal().mean() - counts @ of_means.diagonal() / counts.sum()
    between = of_means.diagonal().mean() - of_means.mean()
    # Differences of means of a constant kernel are rounding, of either sign.
    rounding = 2 * UNIT * len(kernel) * kernel.abs().max()
    return within.clamp(min=0.0) / not_zero(between.masked_fill(between <= rounding, 0.0))


@metric(
    group=GROUP,
    source="seleznova2023neural",
    formula="|Θ - Θ of (κ_d, κ_c, κ_n)| / |Θ|",
    bounds=(0.0, 1.0),
)
def kernel_block_residual(tangent_kernel: TangentKernel) -> Tensor:
    """Share of the tangent kernel that its three class averages do not describe, ‖Θ − Θ̄‖/‖Θ‖, [].

    Θ̄ is κ_d of a sample with itself, κ_c within and κ_n between classes; 0 for a class-blocked kernel.

    Convention: Frobenius norms over the probe's pairs of samples; random directions add their error.

    >>> kernel_block_residual(example_kernel()).item()
    0.0
    """
    kernel = tangent_kernel.kernel
    blocked = torch.zeros_like(kernel)
    for pairs in (tangent_kernel.same_sample, tangent_kernel.same_class, tangent_kernel.other_class):
        blocked = torch.where(pairs, tangent_kernel.average(pairs), blocked)
    share: Tensor = (kernel - blocked).norm() / not_zero(kernel.norm())
    return share
