"""Writes: which torch functions write to a tensor, and the same functions out of place."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from elastic.probes.forward_derivatives import name_of
from elastic.probes.structured.duals import Unsupported

_RESHAPED = (
    "t_ transpose_ swapaxes_ swapdims_ squeeze_ unsqueeze_ resize_ resize_as_ set_ as_strided_ rename_ apply_ "
    "map_ share_memory_ retain_grad_ sparse_resize_ data= real= imag= names= grad= _coalesced_"
)
_LINEAR_WRITES = (
    "__setitem__ copy_ fill_ zero_ masked_fill_ masked_scatter_ index_add_ index_copy_ index_fill_ index_put_ "
    "scatter_ scatter_add_ fill_diagonal_ put_ cumsum_ tril_ triu_ neg_ negative_"
)
OPERATORS = {"__iadd__": "add", "__isub__": "sub", "__imul__": "mul", "__itruediv__": "div", "__idiv__": "div"}
#: Functions that change the view of a tensor, not the numbers there.
RESHAPED = set(_RESHAPED.split())
#: Writes that are linear in all moving arguments.
LINEAR_WRITES = set(_LINEAR_WRITES.split())


@dataclass(frozen=True)
class Write:
    """A function that writes to ``target``, as a call that does not.

    Attributes
    ----------
    function, arguments, options
        The call out of place; one of functions with rules, if there is one.
    copied
        Whether the function works in place on a copy.
    """

    target: Tensor
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    copied: bool = False

    @property
    def linear(self) -> bool:
        """Whether the result is linear in all moving arguments."""
        plain = "reduce" not in self.options and not any(isinstance(a, str) for a in self.arguments)
        return plain and name_of(self.function) in LINEAR_WRITES


def write_of(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Write | None:
    """Return a call as a `Write`; None if it writes to nothing.

    Raises
    ------
    Unsupported
        If it changes a tensor in a way that has no equivalent out of place.
    """
    name = name_of(function)
    if kwargs.get("out") is not None:
        return Write(_one(name, kwargs["out"]), function, args, {k: v for k, v in kwargs.items() if k != "out"})
    if name in RESHAPED:
        raise Unsupported(f"`{name}`", "a tensor that is given another shape or other memory in place")
    if (place := _inplace_place(function)) is not None:
        return _with_flag(function, place, args, kwargs)
    if not writes_in_place(name):
        return None
    keyword = next((k for k in ("input", "self") if k in kwargs), None) if not args else None
    target = _one(name, args[0] if args else kwargs.get(keyword or ""))
    other = _counterpart(function, name)
    if other is not None:
        return Write(target, other, args, kwargs)
    if keyword is not None:
        raise Unsupported(f"`{name}`", "a target given by name")
    return Write(target, on_a_copy(function), args, kwargs, copied=True)


def writes_in_place(name: str) -> bool:
    """Whether functions of this name write to their first argument.

    >>> [writes_in_place(name) for name in ("add_", "__iadd__", "__setitem__", "add", "__index__", "__int__")]
    [True, True, True, False, False, False]
    """
    if name.startswith("__"):
        return name == "__setitem__" or (
            (name.startswith("__i") and hasattr(int, f"__{name[3:]}")) or name == "__idiv__"
        )
    return name.endswith("_") and not name.endswith("__")


@cache
def on_a_copy(function: Any) -> Any:
    """Return a function that works in place as one that works on a copy of its first argument."""

    def follow(target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        copied = target.clone()
        function(copied, *args, **kwargs)
        return copied

    follow.__name__ = name_of(function)
    return follow


def _one(name: str, target: Any) -> Tensor:
    if not isinstance(target, Tensor):
        raise Unsupported(f"`{name}`", "several tensors as targets of one operation in place")
    return target


def _counterpart(function: Any, name: str) -> Any:
    """Return torch's out-of-place function for one in place."""
    if name in LINEAR_WRITES:
        return None
    base = OPERATORS.get(name, name[:-1])
    owners = (Tensor,) if function is getattr(Tensor, name, None) else (functional, torch)
    return next((getattr(owner, base) for owner in owners if hasattr(owner, base)), None)


@cache
def _inplace_place(function: Any) -> int | None:
    """Return the position of a function's parameter ``inplace``."""
    if not inspect.isfunction(function):
        return None
    try:
        names = list(inspect.signature(function).parameters)
    except ValueError:  # one that wraps a builtin
        return None
    return names.index("inplace") if "inplace" in names else None


def _with_flag(function: Any, place: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Write | None:
    wanted = args[place] if len(args) > place else kwargs.get("inplace", False)
    if not wanted:
        return None
    target = _one(name_of(function), args[0] if args else kwargs.get("input"))
    if len(args) > place:
        return Write(target, function, (*args[:place], False, *args[place + 1 :]), kwargs)
    return Write(target, function, args, kwargs | {"inplace": False})
