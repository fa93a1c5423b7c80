"""Two classes on curves wound around a torus, with the position of each sample along its curve."""

from __future__ import annotations

from math import pi
from typing import Annotated

import torch
from pydantic import Field

from elastic.data.contract import Samples, dataset
from elastic.data.gaussian_mixture import Count
from elastic.data.source import GENERATED


@dataset(source=GENERATED)
def torus(
    generator: torch.Generator,
    *,
    samples_per_class: Count = 50,
    radius: Annotated[float, Field(gt=1)] = 8.0,
    twists: Annotated[int, Field(ge=0, le=1_000)] = 4,
) -> Samples:
    r"""Two curves that wind around a torus opposite each other, as in he2020local: inputs [n, 3].

    At the angle θ around the torus, drawn uniformly, the first class lies at
    $((r + s \sin k\theta) \cos\theta,\ (r + s \sin k\theta) \sin\theta,\ s \cos k\theta)$ with s = −1, the second at
    the same with s = 1: radius r of the centre line, k twists around the tube of radius 1. Their distance is 2 at every
    angle. ``geodesic`` is θ, with period 2π: the distance of two samples around the torus is min(|Δθ|, 2π − |Δθ|),
    with which the authors compare similarities.

    Parameters
    ----------
    generator
        Generator for the angles.
    samples_per_class
        Samples drawn from each curve, before any split.
    radius
        Radius r of the torus' centre line; its tube has radius 1.
    twists
        Number k of turns of each curve around the tube.

    Examples
    --------
    The two curves of one angle are on either side of the centre line:

    >>> samples = torus(torch.Generator().manual_seed(0), samples_per_class=3)
    >>> x, y, z = samples.inputs[3:].double().T
    >>> ((x.hypot(y) - 8) ** 2 + z**2).round(decimals=4).tolist(), samples.geodesic_period == 2 * pi
    ([1.0, 1.0, 1.0], True)
    """
    angle = pi * (2 * torch.rand(2, samples_per_class, generator=generator, dtype=torch.float64) - 1)
    side = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    out = radius + side * (twists * angle).sin()
    points = torch.stack([out * angle.cos(), out * angle.sin(), side * (twists * angle).cos()], dim=-1)
    labels = torch.arange(2).repeat_interleave(samples_per_class)
    return Samples(
        points.flatten(0, 1).float(), labels, ("inner", "outer"), geodesic=angle.flatten(), geodesic_period=2 * pi
    )
