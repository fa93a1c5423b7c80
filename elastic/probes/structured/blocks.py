"""Blocks of stepped and observed samples: as large as memory allows, as small as the processor's cache likes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.probes.structured.propagation import Steps, propagate
from elastic.probes.structured.recording import Recording

#: Bytes of the widest tangent of a block. Measured on processors: below, the overhead of each operation shows;
#: above, tangents leave the cache between two operations.
CACHED = {"cpu": 2**23}
#: The same where there is no such cache.
UNCACHED = 2**28


@dataclass(frozen=True)
class Cost:
    """Bytes that a block takes.

    Attributes
    ----------
    step
        For each stepped sample: the factors of its step, and the activations that they are found by.
    pair
        For each pair: tangents of the taps and of the operation under way.
    widest
        For each pair: the widest tangent.
    cached
        Bytes that the widest tangent of a block should take.
    """

    step: int
    pair: int
    widest: int
    cached: int

    @classmethod
    def of(cls, recording: Recording, example: Tensor) -> Cost:
        """Return the cost for a model and inputs such as the example [1, …]."""
        size = torch.finfo(recording.dtype).bits // 8
        outputs = [call.output.numel() for call in recording.calls] or [1]
        factors = sum(call.inputs.numel() + 2 * call.output.numel() for call in recording.calls)
        loose = sum(recording.parameters[name].numel() for name in recording.loose)
        taps = sum(h.numel() for h, _ in propagate(recording.model, Steps({}, {}), example).values())
        widest = max(outputs)
        cached = CACHED.get(example.device.type, UNCACHED)
        return cls(size * (3 * factors + 2 * loose), size * (taps + 4 * widest), size * widest, cached)


def blocks(cost: Cost, stepped: int, observed: int, memory_budget: int) -> Iterator[tuple[slice, slice]]:
    """Cut stepped × observed samples into blocks, one stepped block after the other.

    >>> cost = Cost(step=10, pair=1, widest=1, cached=4)
    >>> [(r.start, r.stop, c.start, c.stop) for r, c in blocks(cost, 2, 3, 100)]
    [(0, 2, 0, 2), (0, 2, 2, 3)]
    """
    rows = min(stepped, max(1, memory_budget // (2 * cost.step)), max(1, memory_budget // (2 * cost.pair)))
    columns = min(
        observed, max(1, memory_budget // (2 * cost.pair * rows)), max(1, cost.cached // (cost.widest * rows))
    )
    for first in range(0, stepped, rows):
        for start in range(0, observed, columns):
            last, stop = min(first + rows, stepped), min(start + columns, observed)
            yield slice(first, last), slice(start, stop)
