"""Dual tensors: values that all stepped samples share, with one tangent for each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vmap
from torch.utils._pytree import tree_flatten, tree_unflatten

from elastic.errors import ModelError


class Unsupported(ModelError):
    """A part of a model that the structured engine has no rule for; the autodiff engine may have."""

    def __init__(self, part: str, found: str) -> None:
        super().__init__(part, "have a rule of the structured engine", found, "`engine: autodiff`")

    def at(self, place: str) -> Unsupported:
        """Return the same error: it is about a model, not a place in a file."""
        return self


class Dual(Tensor):
    """A value [n, …] with a tangent [c, n, …], one for each of c stepped samples.

    The value is the tensor itself and looks like any other to a model's own code; ``tangent`` is None where it
    is zero. Operations on it are those of its value, except under `propagation.Propagation`.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl
    tangent: Tensor | None


def dual(value: Tensor, tangent: Tensor | None) -> Dual:
    """Return a value [n, …] with its tangent [c, n, …]."""
    made = plain(value).as_subclass(Dual)
    made.tangent = tangent
    return made


def plain(value: Any) -> Any:
    """Return the value of a `Dual`; anything else as it is."""
    return value.as_subclass(Tensor) if isinstance(value, Dual) else value


def tangent_of(value: Any) -> Tensor | None:
    """Return the tangent of a `Dual`; None, which is zero, for anything else."""
    return value.tangent if isinstance(value, Dual) else None


def moving(tree: Any) -> list[Dual]:
    """Return the floating-point duals of a tree of arguments whose tangent is not zero."""
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Dual) and leaf.tangent is not None]


def wrap(output: Any, tangents: Any = None) -> Any:
    """Return an operation's output with its floating-point tensors as duals.

    Parameters
    ----------
    output
        Tensors in any nesting.
    tangents
        The same nesting of tangents; None where all are zero.
    """
    values, spec = tree_flatten(output)
    moved = [None] * len(values) if tangents is None else tree_flatten(tangents)[0]
    wrapped = [
        dual(value, tangent) if isinstance(value, Tensor) and value.is_floating_point() else value
        for value, tangent in zip(values, moved, strict=True)
    ]
    return tree_unflatten(wrapped, spec)


def overwrite(target: Tensor, output: Dual) -> Dual:
    """Do in place what has been done out of place.

    Raises
    ------
    Unsupported
        If the target is part of another tensor, whose tangent would have to change with it.
    """
    value = plain(target)
    if not isinstance(target, Dual) or value.untyped_storage().nbytes() != value.numel() * value.element_size():
        raise Unsupported("an operation in place", "part of a tensor as its target")
    value.copy_(plain(output))
    target.tangent = output.tangent
    return target


def bound(function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Callable[..., Any], list[Dual]]:
    """Return the operation as a function of its moving duals' values alone, and those duals."""
    leaves, spec = tree_flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Dual) and leaf.tangent is not None]
    fixed = [plain(leaf) for leaf in leaves]

    def of_values(*values: Tensor) -> Any:
        filled = list(fixed)
        for place, value in zip(places, values, strict=True):
            filled[place] = value
        a, k = tree_unflatten(filled, spec)
        return function(*a, **k)

    return of_values, [leaves[place] for place in places]


def differentiated(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Apply any differentiable operation: its value once, its Jacobian–vector products for all stepped samples.

    >>> x = dual(torch.tensor([3.0]), torch.tensor([[1.0], [2.0]]))
    >>> y = differentiated(torch.square, (x,), {})
    >>> plain(y).item(), y.tangent.flatten().tolist()   # 2·3·1, 2·3·2
    (9.0, [6.0, 12.0])
    """
    of_values, duals = bound(function, args, kwargs)
    values = [plain(d) for d in duals]
    output = of_values(*values)
    if not duals or not any(isinstance(o, Tensor) and o.is_floating_point() for o in tree_flatten(output)[0]):
        return wrap(output)

    def along(*tangents: Tensor) -> Any:
        return jvp(of_values, tuple(values), tangents)[1]

    return wrap(output, vmap(along)(*(d.tangent for d in duals)))
