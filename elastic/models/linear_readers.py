"""Finds the linear layer that takes the features of each layer as its input, by tracing a forward pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from elastic.models.returned import Returned, first_tensor

#: Selects the features [n, d] from a layer's output [n, T, d].
At = Callable[[Tensor], Tensor]


def linear_after(module: nn.Module, names: Sequence[str], example: Tensor, at: At | None = None) -> dict[str, str]:
    """Return for each named submodule the ``nn.Linear`` whose only input is its unchanged output.

    "Unchanged" means the same memory, not modified in between: a flattened view counts, an activation does not. A
    submodule whose output is the input of several linear layers (queries, keys, values) has none. If features are those
    ``at`` a position of a sequence, a linear layer counts if it takes the whole sequence, acting on each token, or a
    tensor with the values at that position.

    Examples
    --------
    >>> import torch
    >>> net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))
    >>> linear_after(net, ["0", "2", "3"], torch.ones(5, 1, 2, 2))
    {'0': '2', '3': '4'}
    """
    outputs: dict[str, Returned] = {}
    readers: dict[str, set[str]] = defaultdict(set)

    def keep(name: str, _submodule: nn.Module, _arguments: Any, output: Any) -> None:
        if (tensor := first_tensor(output)) is not None:
            outputs[name] = Returned.of(tensor)

    def compare(linear: str, _submodule: nn.Module, arguments: tuple[Any, ...]) -> None:
        for name, output in outputs.items():
            if arguments and isinstance(arguments[0], Tensor) and _is_read(output, arguments[0], at):
                readers[name].add(linear)

    handles = [module.get_submodule(name).register_forward_hook(partial(keep, name)) for name in names]
    handles += [
        submodule.register_forward_pre_hook(partial(compare, name))
        for name, submodule in module.named_modules()
        if isinstance(submodule, nn.Linear)
    ]
    try:
        module(example.clone())
    finally:
        for handle in handles:
            handle.remove()
    return {name: next(iter(readers[name])) for name in names if len(readers[name]) == 1}


def _is_read(output: Returned, entering: Tensor, at: At | None) -> bool:
    if output.is_read_by(entering):
        return True
    if at is None or output.tensor.ndim != 3:
        return False
    if entering.ndim == 3:
        return output.is_same(Returned.of(entering))
    features = at(output.tensor)
    # Values equal for all samples may coincide by chance.
    return torch.equal(features, entering) and not torch.equal(features, features[:1].expand_as(features))


def last_linear(module: nn.Module, example: Tensor) -> str | None:
    """Return the name of the last ``nn.Linear`` executed in a forward pass, or None.

    Examples
    --------
    >>> import torch
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2), nn.LogSoftmax(1))
    >>> last_linear(net, torch.ones(5, 4)), last_linear(net[1], torch.ones(5, 4))
    ('2', None)
    """
    ran: list[str] = []

    def keep(name: str, *_: Any) -> None:
        ran.append(name)

    linears = [(name, part) for name, part in module.named_modules() if isinstance(part, nn.Linear)]
    handles = [part.register_forward_hook(partial(keep, name)) for name, part in linears]
    try:
        module(example.clone())
    finally:
        for handle in handles:
            handle.remove()
    return ran[-1] if ran else None
