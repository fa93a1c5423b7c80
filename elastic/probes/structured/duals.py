"""Dual tensors: values shared by all stepped samples, with one tangent for each sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import NoneType
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vmap
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from elastic.errors import ModelError
from elastic.probes.forward_derivatives import name_of, unnumbered


class Unsupported(ModelError):
    """A part of a model without a rule in the structured engine; the autodiff engine may support it."""

    def __init__(self, part: str, found: str) -> None:
        super().__init__(part, "have a rule of the structured engine", found, "`engine: autodiff`")

    def at(self, place: str) -> Unsupported:
        """Return the same error: it concerns a model, not a location in a file."""
        return self


class Dual(Tensor):
    """A value [n, …] with a tangent [c, n, …], one for each of c stepped samples.

    The value is the tensor itself and looks like any other to the model's code. Operations on it act on
    its value, except under `propagation.Propagation`.

    Attributes
    ----------
    moved, gain
        The tangent is their product; a gain [n, …] shared by all stepped samples is multiplied in only when
        the tangent is read, so that a chain of activations and poolings costs one pass. None: zero, and one.
    pending
        Computes a deferred tangent from the gain (`deferred`): a reader may fold more into it first. Its ``x``
        is the tensor that it still has to read.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    moved: Tensor | None
    gain: Tensor | None
    pending: Any
    #: The memory of its pass.
    memory: Any

    @property
    def tangent(self) -> Tensor | None:
        """The tangent [c, n, …], None if it is zero."""
        if self.pending is not None:
            self.moved, self.gain, self.pending = self.pending(self.gain), None, None
        if self.gain is not None and self.moved is not None:
            self.moved, self.gain = self.moved * self.gain, None
        return self.moved

    @property
    def still(self) -> bool:
        """Whether the tangent is known to be zero."""
        return self.moved is None and self.pending is None


def dual(value: Tensor, moved: Tensor | None, gain: Tensor | None = None, pending: Any = None) -> Dual:
    """Return a value [n, …] with its tangent [c, n, …], or the two factors of it."""
    made: Dual = plain(value).as_subclass(Dual)
    if moved is not None and moved.dtype != made.dtype:
        moved = moved.to(made.dtype)
    made.moved, made.gain, made.pending = moved, gain, pending
    return made


def plain(value: Any) -> Any:
    """Return the value of a `Dual`; anything else as it is."""
    return value.as_subclass(Tensor) if isinstance(value, Dual) else value


def tangent_of(value: Any) -> Tensor | None:
    """Return the tangent of a `Dual`; None, which is zero, for anything else."""
    return value.tangent if isinstance(value, Dual) else None


def numeric(tensor: Tensor) -> bool:
    """Whether a tensor can have a tangent."""
    return tensor.is_floating_point() or tensor.is_complex()


def tensors_of(*arguments: Any) -> Iterator[Tensor]:
    """Iterate over the tensors in arguments, including lists, tuples and dictionaries.

    >>> [t.item() for t in tensors_of(torch.tensor(1), [torch.tensor(2), 3], {"alpha": torch.tensor(4)})]
    [1, 2, 4]
    """
    for argument in arguments:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, (tuple, list)):
            yield from tensors_of(*argument)
        elif isinstance(argument, dict):
            yield from tensors_of(*argument.values())


def moves(*arguments: Any) -> bool:
    """Whether arguments contain a dual with a nonzero tangent."""
    return any(isinstance(tensor, Dual) and not tensor.still for tensor in tensors_of(*arguments))


def factors_of(value: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Return a tangent's factors ``moved`` and ``gain``."""
    if not isinstance(value, Dual):
        return None, None
    if value.pending is not None:
        return value.tangent, None
    return value.moved, value.gain


def deferred_of(value: Tensor) -> tuple[Any, Tensor | None]:
    """Return a tangent that is deferred, with its gain, or None; its other readers compute it for themselves."""
    if not isinstance(value, Dual) or value.pending is None:
        return None, None
    pending = value.pending
    return (pending.deferred() if hasattr(pending, "deferred") else pending), value.gain


def wrap(output: Any, tangents: Any = None) -> Any:
    """Return an operation's output with its floating-point and complex tensors as duals.

    Parameters
    ----------
    output
        Tensors in any nesting.
    tangents
        The same nesting of tangents; None if all are zero.
    """
    values, spec = tree_flatten(output)
    moved = [None] * len(values) if tangents is None else tree_flatten(tangents)[0]
    wrapped = [
        dual(value, tangent)
        if isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())
        else value
        for value, tangent in zip(values, moved, strict=True)
    ]
    return tree_unflatten(wrapped, spec)


def bound(function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Callable[..., Any], list[Dual]]:
    """Return the operation as a function of its moving duals' values alone, and those duals."""
    leaves, spec = tree_flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Dual) and not leaf.still]
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
    given = [plain(t) for t in tensors_of(args, kwargs)]
    versions = [t._version for t in given]
    with unnumbered(name_of(function), values):
        output = of_values(*values)
    if [t._version for t in given] != versions:
        raise Unsupported(f"`{name_of(function)}`", "a function that writes into its arguments")
    if not duals:
        return wrap(output)
    if any(not isinstance(leaf, (Tensor, bool, NoneType)) for leaf in tree_leaves(output)):
        raise Unsupported(f"`{name_of(function)}`", "numbers of Python read off a tensor that moves")
    if not any(map(numeric, tensors_of(output))):
        return wrap(output)

    def along(*tangents: Tensor) -> Any:
        return jvp(of_values, tuple(values), tangents)[1]

    tangents: Any = [d.tangent for d in duals]
    return wrap(output, vmap(along)(*tangents))
