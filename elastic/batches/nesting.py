"""Nestings of tensors, the structure of batches: mapping and iteration."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from torch import Tensor


def mapped(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Apply a function to every tensor of a nesting of mappings, lists and tuples, which keep their types.

    >>> import torch
    >>> mapped({"x": torch.ones(1), "more": (torch.zeros(1), "text")}, lambda t: t + 1)
    {'x': tensor([2.]), 'more': (tensor([1.]), 'text')}
    """
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, MutableMapping):
        held = copy.copy(value)
        for key in value:
            held[key] = mapped(value[key], function)
        return held
    if isinstance(value, Mapping):
        return {key: mapped(part, function) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(part, function) for part in value))
    if type(value) in (list, tuple):
        return type(value)(mapped(part, function) for part in value)
    return value


def outline(value: Any) -> str:
    """Return types and shapes of a nesting for messages.

    >>> import torch
    >>> outline(({"x": torch.ones(3, 2)}, torch.arange(3)))
    "({'x': float32 [3, 2]}, int64 [3])"
    """
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {outline(part)}' for key, part in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(outline, value))})"
    return type(value).__name__


def tensors_of(value: Any, path: str = "") -> dict[str, Tensor]:
    """Return all tensors of a nesting by their paths, in the order of `mapped`.

    >>> import torch
    >>> list(tensors_of(({"ids": torch.zeros(2)}, torch.ones(2))))
    ['[0].ids', '[1]']
    """
    if isinstance(value, Tensor):
        return {path: value}
    parts: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        parts = [(f"{path}.{key}" if path else str(key), part) for key, part in value.items()]
    elif isinstance(value, (list, tuple)):
        parts = [(f"{path}[{place}]", part) for place, part in enumerate(value)]
    return {name: tensor for place, part in parts for name, tensor in tensors_of(part, place).items()}
