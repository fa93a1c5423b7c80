"""Models that were measured before: their engine is chosen, and their code checked, once per process.

No tensors of a model are stored. The facts hold as long as the model has the same parts: a different module, parameter,
hook or plain attribute makes it another model. Values of parameters may differ, as between two epochs of a training;
at least one pair is then compared with real steps. If nothing differs, neither parameters nor
samples, the earlier comparison is used again: two equal calls return equal datasets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from elastic.probes.engine_selection import EngineChoice
from elastic.probes.verification import EngineCheck

#: Attributes of modules that affect a forward pass.
PLAIN = (bool, int, float, str, type(None))


@dataclass
class Known:
    """Stored facts of a model.

    Attributes
    ----------
    engine
        The engine that was chosen, or took over.
    check
        Last comparison with real steps.
    numbers
        Result of `numbers_of` at that time.
    readings
        Number of comparisons.
    """

    engine: EngineChoice
    check: EngineCheck
    numbers: Hashable
    readings: int = 1


_KNOWN: WeakKeyDictionary[nn.Module, dict[Hashable, Known]] = WeakKeyDictionary()


def known(model: nn.Module, key: Hashable) -> Known | None:
    """Return the facts of a model that was measured with the same key; None for a new one."""
    return _KNOWN.get(model, {}).get(key)


def remember(model: nn.Module, key: Hashable, kept: Known) -> None:
    """Store the facts of a measurement; only the last key of each model is kept, to limit memory."""
    _KNOWN[model] = {key: kept}


def numbers_of(model: nn.Module, *samples: Tensor) -> Hashable:
    """Return digests of the bytes of each tensor of a model and of samples, to detect changes.

    >>> net = nn.Linear(2, 2)
    >>> first = numbers_of(net)
    >>> net.weight.data[0, 0] += 1
    >>> numbers_of(net) == first
    False

    Depends on the order of values, unlike `torch.hash_tensor`:

    >>> numbers_of(net, torch.tensor([0.0, 1.0])) == numbers_of(net, torch.tensor([1.0, 0.0]))
    False
    """
    tensors = (*model.parameters(), *model.buffers(), *samples)
    if any(t.layout != torch.strided or t.is_complex() for t in tensors):
        return object()  # equal to nothing
    return tuple(map(_digest, tensors))


def _digest(tensor: Tensor) -> bytes:
    whole = tensor.detach().contiguous().reshape(-1).view(torch.uint8).cpu().numpy()
    return hashlib.blake2b(whole.data, digest_size=16).digest()


def key_of(model: nn.Module, example: Tensor, *options: Hashable) -> Hashable:
    """Return a key of what determines the engine: the model's parts, the shape of the inputs, options.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> x = net[0].weight.detach()
    >>> first = key_of(net, x)
    >>> _ = nn.init.zeros_(net[0].weight)
    >>> key_of(net, x) == first
    True
    >>> net[1] = nn.Tanh()
    >>> key_of(net, x) == first
    False
    """
    modules = tuple((name, *_parts(module)) for name, module in model.named_modules())
    tensors = tuple(
        (name, *_form(tensor), tensor.requires_grad)
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
    )
    return modules, tensors, tuple(example.shape[1:]), example.dtype, example.device, options


def _form(tensor: Tensor) -> tuple[Hashable, ...]:
    return tuple(tensor.shape), tensor.dtype, tensor.device, tensor.layout


def _parts(module: nn.Module) -> Iterator[Any]:
    """Yield the type of a module, its hooks, and those of its attributes that are plain values or functions."""
    yield type(module)
    yield type(module).forward
    for name, value in sorted(vars(module).items()):
        if name == "training":
            continue
        if isinstance(value, PLAIN) or _is_plain(value):
            yield name, value
        elif name.endswith("_hooks") and isinstance(value, (dict, list)):
            yield name, tuple(map(_code, value.values() if isinstance(value, dict) else value))
        elif callable(value) and not isinstance(value, nn.Module):
            yield name, _code(value)


def _code(function: Any) -> Hashable:
    # Identities are reused once their object is deleted; functions are compared by code.
    return id(function), getattr(function, "__code__", type(function))


def _is_plain(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(part, PLAIN) for part in value)
