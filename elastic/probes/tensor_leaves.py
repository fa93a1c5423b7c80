"""The tensors among the arguments and outputs of a torch function.

`tree_leaves` and `tree_map` of torch take longer than a small operation does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

#: Types of arguments without tensors inside.
WITHOUT_TENSORS = {bool, int, float, str, type(None), torch.dtype, torch.device, torch.Size}


def tensor_leaves(*trees: Any) -> list[Tensor]:
    """Return the tensors among the leaves of nestings, as `tree_leaves` does.

    >>> [leaf.item() for leaf in tensor_leaves((torch.tensor(1), [2, torch.tensor(3)]), {"alpha": torch.tensor(4)})]
    [1, 3, 4]
    """
    leaves: list[Tensor] = []
    for tree in trees:
        _gather(tree, leaves)
    return leaves


def _gather(tree: Any, leaves: list[Tensor]) -> None:
    kind = type(tree)
    if kind in WITHOUT_TENSORS:
        return
    if isinstance(tree, Tensor):
        leaves.append(tree)
    elif kind is tuple or kind is list:
        for part in tree:
            _gather(part, leaves)
    elif kind is dict:
        for part in tree.values():
            _gather(part, leaves)
    else:  # a nesting of another type, or no nesting
        leaves += [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def each_leaf(function: Callable[[Any], Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Apply a function to the tensors in arguments, as `tree_map` does.

    >>> each_leaf(torch.neg, (torch.tensor(1), [torch.tensor(2)]), {"alpha": torch.tensor(3)})
    ((tensor(-1), [tensor(-2)]), {'alpha': tensor(-3)})
    """

    def of(value: Any) -> Any:
        if isinstance(value, Tensor):
            return function(value)
        return value if type(value) in WITHOUT_TENSORS else tree_map(function, value)

    return tuple(map(of, args)), {name: of(value) for name, value in kwargs.items()}
