"""Finite steps: differences f(x + ηΔx) − f(x) over η, without subtracting nearly equal values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp
from torch.nn import functional

from elastic.probes.forward_derivatives import name_of
from elastic.probes.structured.duals import Unsupported, differentiated, moves, tensors_of

_METHODS = (
    "view reshape flatten unflatten permute transpose t chunk split unbind select narrow squeeze unsqueeze expand "
    "repeat tile clone contiguous sum mean neg cat stack flip roll movedim moveaxis swapaxes swapdims to float double "
    "view_as expand_as reshape_as type_as __getitem__ __neg__ diagonal index_select hstack vstack dstack concat "
    "concatenate where masked_fill masked_select scatter scatter_add gather index_add index_copy index_fill index_put "
    "take take_along_dim cumsum trace tril triu diag diag_embed rot90 unfold repeat_interleave broadcast_to ravel "
    "negative positive tensor_split hsplit vsplit adjoint unsafe_chunk block_diag column_stack "
    "broadcast_tensors atleast_1d atleast_2d atleast_3d meshgrid pixel_shuffle pixel_unshuffle"
)
#: Functions that are linear in all moving arguments: their difference is their Jacobian–vector product.
LINEAR: set[Any] = {
    getattr(owner, name) for owner in (torch, Tensor) for name in _METHODS.split() if hasattr(owner, name)
} | {
    functional.pad,
    functional.dropout,
    functional.dropout1d,
    functional.dropout2d,
    torch.dropout,
    functional.interpolate,
    functional.embedding,
    functional.unfold,
    functional.fold,
    functional.avg_pool3d,
    functional.adaptive_avg_pool3d,
    torch.fft.fft,
    torch.fft.ifft,
    torch.fft.rfft,
    torch.fft.irfft,
    torch.fft.fft2,
    torch.fft.ifft2,
    torch.fft.rfft2,
    torch.fft.irfft2,
}
LINEAR |= {getattr(Tensor, name).__get__ for name in ("T", "mT", "H", "mH", "real", "imag")}

#: Activations with as many derivatives as the quadrature needs.
SMOOTH: set[Any] = {
    functional.gelu, functional.silu, functional.softplus, functional.mish, functional.logsigmoid, functional.tanh,
    torch.tanh, Tensor.tanh, functional.sigmoid, torch.sigmoid, Tensor.sigmoid, torch.square, Tensor.square,
    torch.exp, Tensor.exp,
}  # fmt: skip

#: Bounds of |ηΔx| and numbers of Gauss–Legendre nodes for which the mean slope is exact to rounding.
NODES = ((1e-3, 2), (0.1, 4), (1.0, 8))


def difference(function: Any, args: Any, kwargs: Any) -> Any:
    """Apply a function without its own rule along a finite step.

    Raises
    ------
    Unsupported
        If it is not known to be linear: its derivative is then not enough.
    """
    output = differentiated(function, args, kwargs)
    if not moves(args, kwargs):
        return output
    reduced = kwargs.get("reduce") is not None or (name_of(function) == "scatter" and isinstance(args[-1], str))
    if (
        function not in LINEAR
        or reduced
        or not all(t.is_floating_point() or t.is_complex() for t in tensors_of(output))
    ):
        raise unknown(function)
    return output


def unknown(function: Any) -> Unsupported:
    """Return the error of a function without a formula."""
    return Unsupported(f"`{name_of(function)}`", "no formula for its difference along a finite step")


def mean_slope(function: Callable[[Tensor], Tensor], x: Tensor, step: Tensor) -> Tensor:
    r"""Return (f(x + s) − f(x)) / s for a smooth f: the integral of f'(x + ts) over t from 0 to 1.

    By Gauss–Legendre quadrature for |s| ≤ 1, which subtracts nothing; above, the two values are far apart.

    >>> x, s = torch.tensor([1.0], dtype=torch.float64), torch.tensor([1e-9], dtype=torch.float64)
    >>> mean_slope(torch.square, x, s).item()                     # 2x + s
    2.000000001
    """
    largest = float(step.abs().max()) if step.numel() else 0.0
    count = next((nodes for bound, nodes in NODES if largest <= bound), NODES[-1][1])
    places, weights = np.polynomial.legendre.leggauss(count)
    slope = torch.zeros_like(step)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        at = torch.add(x, step, alpha=float(place))
        slope.add_(jvp(function, (at,), (torch.ones_like(at),))[1], alpha=float(weight))
    if largest > NODES[-1][0]:
        far = step.abs() > NODES[-1][0]
        direct = (function(x + step) - function(x)) / torch.where(far, step, 1.0)
        slope = torch.where(far, direct, slope)
    return slope


def relu_difference(x: Tensor, moved: Tensor, size: Tensor) -> Tensor:
    """Return (max(x + ηΔx, 0) − max(x, 0)) / η by cases.

    >>> x, moved = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([[1.0, 3.0, -1.0]])
    >>> relu_difference(x, moved, torch.tensor([[1.0]])).tolist()
    [[1.0, 2.0, -0.5]]
    """
    # η can be so small that x/η overflows: then the sign of x alone decides, which is right.
    distance = x / size.clamp_min(torch.finfo(size.dtype).tiny)
    return torch.where(x > 0, torch.maximum(moved, -distance), (moved + distance).clamp_min(0))


def softmax_difference(value: Tensor, moved: Tensor, size: Tensor, dim: int) -> Tensor:
    r"""Return the difference of a softmax p over η: p (E − ⟨p, E⟩) / (1 + η⟨p, E⟩) with E = (e^{ηΔx} − 1)/η.

    Parameters
    ----------
    value, moved, size
        p [n, …], Δx [c, n, …] and η [c, 1, …].
    dim
        Negative.
    """
    moved = moved - moved.amax(dim, keepdim=True)  # the same softmax, and no overflow
    step = size * moved
    near = step.abs() < 1e-3
    series = moved * (1 + step / 2 * (1 + step / 3 * (1 + step / 4)))
    growth = torch.where(near, series, torch.expm1(step) / size.clamp_min(torch.finfo(size.dtype).tiny))
    mean = (value * growth).sum(dim, keepdim=True)
    return value * (growth - mean) / (1 + size * mean)
