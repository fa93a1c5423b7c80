"""Pooling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from elastic.probes.structured.duals import Dual, Unsupported, deferred_of, dual, factors_of, plain, tangent_of
from elastic.probes.structured.folding import each_sample, observed_first
from elastic.probes.structured.rules import register, rule
from elastic.probes.structured.steps import Steps


@rule(functional.max_pool2d, torch.max_pool2d)
def max_pool2d(steps: Steps, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Δy = Δx at the place of each window's maximum, found once for all stepped samples."""
    if kwargs.pop("return_indices", False) or len(args) > 5:
        return NotImplemented
    if x.ndim != 4:
        raise Unsupported("`max_pool2d`", "an image without a batch")
    value, places = functional.max_pool2d_with_indices(plain(x), *args, **kwargs)
    pending, gain = deferred_of(x) if steps.size is None else (None, None)
    if pending is not None:
        return dual(value, None, at_places(gain, x, places), pending.then(lambda images: taken(images, places)))
    moved, gain = factors_of(x)
    if moved is None:
        return dual(value, None)
    if steps.size is None:
        return dual(value, taken(moved, places), at_places(gain, x, places))
    moved = moved if gain is None else moved * gain
    return dual(value, torch.maximum(taken(moved, places), overtaken(steps, plain(x), moved, value, args, kwargs)))


def overtaken(steps: Steps, x: Tensor, moved: Tensor, value: Tensor, args: Any, kwargs: Any) -> Tensor:
    """Return the difference [c, n, i, h', w'] to the place of the maximum after a finite step.

    It is at most the true one, and so is the difference at the place of the maximum before: rounding of x + ηΔx
    may miss the place, but not the larger of the two.
    """
    size = steps.along(moved)
    places = each_sample(lambda rows: functional.max_pool2d_with_indices(rows, *args, **kwargs)[1], x + size * moved)
    there = x.flatten(2).expand(len(moved), *x.flatten(2).shape).gather(3, places.flatten(3)).view_as(places)
    change = moved.flatten(3).gather(3, places.flatten(3)).view_as(places)
    return (there - value) / size.clamp_min(torch.finfo(size.dtype).tiny) + change


def taken(moved: Tensor, places: Tensor) -> Tensor:
    """Return the tangents [c, n, i, h, w] at flat places [n, i, h', w'] of each image."""
    if observed_first(moved):
        along = places.flatten(2)[:, None].expand(-1, len(moved), -1, -1)
        chosen = moved.transpose(0, 1).flatten(3).gather(3, along).transpose(0, 1)
    else:
        chosen = moved.flatten(3).gather(3, places.flatten(2).expand(len(moved), -1, -1, -1))
    images: Tensor = chosen.unflatten(3, places.shape[2:])
    return images


def at_places(gain: Tensor | None, x: Tensor, places: Tensor) -> Tensor | None:
    """Return the gain of images [n, i, h, w] at flat places [n, i, h', w'] of each; None if it is one."""
    return None if gain is None else taken(gain.expand_as(plain(x))[None], places)[0]


def average(function: Any) -> Any:
    """Return the rule of a pooling that is linear: Δy is the pooling of Δx."""

    def follow(steps: Steps, x: Tensor, *args: Any, **kwargs: Any) -> Dual:
        moved = tangent_of(x)
        value = function(plain(x), *args, **kwargs)
        if moved is None:
            return dual(value, None)
        return dual(value, each_sample(lambda rows: function(rows, *args, **kwargs), moved))

    return follow


AVERAGES = [
    functional.avg_pool1d,
    functional.avg_pool2d,
    functional.adaptive_avg_pool1d,
    functional.adaptive_avg_pool2d,
]
for _function in AVERAGES:
    register([_function], average(_function), ("x",))
