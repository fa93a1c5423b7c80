"""Gaussian classes whose means form a simplex."""

from __future__ import annotations

from math import sqrt
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from elastic.data.contract import Samples, dataset
from elastic.data.source import GENERATED

Count = Annotated[int, Field(ge=1, le=1_000_000)]


@dataset(source=GENERATED)
def gaussian_mixture(
    generator: torch.Generator,
    *,
    components: Annotated[int, Field(ge=2, le=1_000)] = 4,
    dim: Annotated[int, Field(ge=1, le=100_000)] = 32,
    samples_per_class: Count = 500,
    separation: Annotated[float, Field(ge=0)] = 3.0,
) -> Samples:
    """Isotropic Gaussian classes of unit variance in each coordinate; each component is a class.

    If dim ≥ components − 1, the means form a randomly rotated simplex: all pairwise distances are ``separation``
    standard deviations. In fewer dimensions they are random directions of the same length.

    Parameters
    ----------
    generator
        Generator for the means' directions and the samples.
    components
        Number of classes.
    dim
        Number of features.
    samples_per_class
        Samples drawn from each class, before any split.
    separation
        Distance between two class means, in units of the within-class standard deviation of a coordinate.

    Examples
    --------
    >>> samples = gaussian_mixture(torch.Generator().manual_seed(0), components=3, dim=5, samples_per_class=2)
    >>> samples.inputs.shape, samples.labels.tolist(), samples.classes
    (torch.Size([6, 5]), [0, 0, 1, 1, 2, 2], (0, 1, 2))
    """
    means = class_means(components, dim, separation, generator)
    labels = torch.arange(components).repeat_interleave(samples_per_class)
    noise = torch.randn(len(labels), dim, generator=generator, dtype=torch.float64)
    return Samples((means[labels] + noise).float(), labels, tuple(range(components)))


def class_means(components: int, dim: int, separation: float, generator: torch.Generator) -> Tensor:
    """Return the means [components, dim], float64 (see `gaussian_mixture`)."""
    vertices: Tensor
    directions = torch.randn(dim, components, generator=generator, dtype=torch.float64)
    if dim < components - 1:
        # The length of a simplex's vertices at edge √2 is √(1 − 1/K).
        vertices = (directions / directions.norm(dim=0)).T * sqrt(1 - 1 / components)
    else:
        turned, _ = torch.linalg.qr(directions[:, : components - 1])
        vertices = simplex(components) @ turned.T
    return vertices * (separation / sqrt(2))


def simplex(vertices: int) -> Tensor:
    """Return the vertices [K, K−1] of the regular simplex with edge √2 around the origin.

    They are the rows of the matrix whose column j (Helmert's contrasts) is 1/√(j(j+1)) on the first j rows and
    −j/√(j(j+1)) on the next: orthonormal columns that sum to zero, hence a Gram matrix I − 11ᵀ/K.

    Examples
    --------
    >>> (simplex(2) * 2**0.5).round(decimals=6).tolist()  # ±1/√2, times √2
    [[1.0], [-1.0]]
    """
    j = torch.arange(1, vertices, dtype=torch.float64)
    row = torch.arange(vertices, dtype=torch.float64)[:, None]
    contrasts = torch.where(row < j, 1.0, torch.where(row == j, -j, 0.0))
    return contrasts / (j * (j + 1)).sqrt()
