"""Two linked rings in three dimensions, which are not linearly separable."""

from __future__ import annotations

from math import pi
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from elastic.data.contract import Samples, dataset
from elastic.data.gaussian_mixture import Count
from elastic.data.source import GENERATED


@dataset(source=GENERATED)
def linked_rings(
    generator: torch.Generator,
    *,
    samples_per_class: Count = 500,
    thickness: Annotated[float, Field(ge=0, lt=0.5)] = 0.1,
) -> Samples:
    """Two linked tori in three dimensions, one per class: inputs [n, 3].

    On this data relative similarity falls with the distance along a ring in linear and in nonlinear networks (Pearson's
    r near −0.9 in both), and does not distinguish them. The data set `torus`, that of he2020local, does.

    Both have a centre line of radius 1. The first lies flat around (−1/2, 0, 0), the second stands upright around
    (1/2, 0, 0): each passes through the middle of the other, and half a turn about the x-axis and a mirror exchange
    them. Samples lie on the surface, at angles drawn uniformly.

    Parameters
    ----------
    generator
        Generator for the angles.
    samples_per_class
        Samples drawn from each ring, before any split.
    thickness
        Radius of the tube; at 1/2 the rings would touch.

    Examples
    --------
    >>> thin = linked_rings(torch.Generator().manual_seed(0), samples_per_class=3, thickness=0.0)
    >>> flat, upright = thin.inputs[thin.labels == 0], thin.inputs[thin.labels == 1]
    >>> (flat + torch.tensor([0.5, 0.0, 0.0])).norm(dim=1).round(decimals=5).tolist(), flat[:, 2].abs().max().item()
    ([1.0, 1.0, 1.0], 0.0)
    >>> upright[:, 1].abs().max().item()
    0.0
    """
    flat, upright = (torus(samples_per_class, thickness, generator) for _ in range(2))
    flat[:, 0] -= 0.5
    upright = upright[:, [0, 2, 1]]
    upright[:, 0] += 0.5
    labels = torch.arange(2).repeat_interleave(samples_per_class)
    return Samples(torch.cat([flat, upright]).float(), labels, ("flat", "upright"))


def torus(samples: int, thickness: float, generator: torch.Generator) -> Tensor:
    """Return points [n, 3], float64, on a torus around the z-axis, of centre line 1 and the given radius of tube."""
    around, across = 2 * pi * torch.rand(2, samples, generator=generator, dtype=torch.float64)
    radius = 1 + thickness * across.cos()
    return torch.stack([radius * around.cos(), radius * around.sin(), thickness * across.sin()], dim=1)
