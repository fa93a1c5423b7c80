"""Transfer of readings from a GPU to the processor, where metrics are computed.

A metric is many operations on small arrays. On a GPU each costs more time to start than to compute, a decomposition
of a small matrix hundreds of times as much, and each number that is read waits for all work before it; where several
processes share the GPU, for theirs too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

#: Largest number of elements of a layer's readings that are transferred; more stay where they are.
MOST = 2**22

PLAIN = (type(None), bool, int, float, str)


def fetch(tensors: Sequence[Tensor], most: int = MOST) -> list[Tensor]:
    """Return tensors on the CPU, if they have no more elements than this together; else as they are.

    Those of one dtype are transferred together: each transfer waits for the GPU.

    >>> [tensor.tolist() for tensor in fetch([torch.ones(2), torch.zeros(1, 1), torch.tensor(3)])]
    [[1.0, 1.0], [[0.0]], 3]
    """
    away = [place for place, tensor in enumerate(tensors) if tensor.device.type != "cpu"]
    fetched = list(tensors)
    if not away or sum(tensors[place].numel() for place in away) > most:
        return fetched
    together = defaultdict(list)
    for place in away:
        together[tensors[place].device, tensors[place].dtype].append(place)
    for places in together.values():
        packed = torch.cat([tensors[place].reshape(-1) for place in places]).cpu()
        parts = packed.split([tensors[place].numel() for place in places])
        for place, part in zip(places, parts, strict=True):
            fetched[place] = part.view(tensors[place].shape)
    return fetched


def on_processor(readings: Mapping[str, Any], most: int = MOST) -> Mapping[str, Any]:
    """Return the readings of a layer with all tensors in them on the CPU.

    Those of more elements than ``most`` stay on their device together, as do those with an object other than a tensor,
    a number, a string, or a dataclass or sequence of these: a metric must find all its readings on one device.

    >>> readings = {"labels": torch.tensor([0, 1]), "classes": 2}
    >>> on_processor(readings) is readings                                # on the CPU already
    True
    """
    values = dict(readings)  # a mapping may compute a new tensor on each request
    leaves = list(chain.from_iterable(map(_leaves, values.values())))
    tensors = list({id(leaf): leaf for leaf in leaves if isinstance(leaf, Tensor)}.values())
    if all(tensor.device.type == "cpu" for tensor in tensors) or not all(map(_is_known, leaves)):
        return readings
    fetched = dict(zip(map(id, tensors), fetch(tensors, most), strict=True))
    return {name: _replaced(reading, fetched) for name, reading in values.items()}


def _leaves(reading: Any) -> Iterator[Any]:
    """Yield what dataclasses and sequences hold, at any depth."""
    if _is_record(reading):
        yield from chain.from_iterable(_leaves(getattr(reading, field.name)) for field in fields(reading))
    elif type(reading) in (list, tuple):
        yield from chain.from_iterable(map(_leaves, reading))
    else:
        yield reading


def _replaced(reading: Any, fetched: Mapping[int, Tensor]) -> Any:
    if isinstance(reading, Tensor):
        return fetched[id(reading)]
    if _is_record(reading):
        return type(reading)(
            **{field.name: _replaced(getattr(reading, field.name), fetched) for field in fields(reading)}
        )
    if type(reading) in (list, tuple):
        return type(reading)(_replaced(part, fetched) for part in reading)
    return reading


def _is_record(reading: Any) -> bool:
    """Whether it is a dataclass that its fields define."""
    return is_dataclass(reading) and not isinstance(reading, type) and all(field.init for field in fields(reading))


def _is_known(leaf: Any) -> bool:
    return isinstance(leaf, PLAIN) or (isinstance(leaf, Tensor) and leaf.layout == torch.strided)
