"""The plan of a probe: blocks of stepped and observed samples, as large as the memory budget allows.

The memory of a block is measured: an engine is tried on one stepped sample, with one observed sample and
with two, under a `Ledger`. Both runs do the same operations, so that after each of them the bytes are a + b·m for
m observed samples; and c stepped samples take at most c times as much. The largest of these lines is the peak,
whatever the model does inside.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from elastic.errors import ModelError

#: The share of the budget for tensors. The rest is what `malloc` keeps between two of them: measured, a process
#: grew by 1.2 to 1.7 times the bytes of a probe's tensors, which in turn are mostly fewer than planned.
TENSORS = 0.8
#: Observed samples per block, at the cost of fewer stepped ones.
FEW = 8
#: Bytes of the largest tensor of a block above which `malloc` of glibc returns memory to the system at each operation
#: and requests it again: measured, convolutions then take twice as long. It keeps up to 32 MiB, and twice that in all.
RETURNED = 24 * 2**20
#: Most stepped samples whose own movements are taken from one small block of all pairs among them.
OWN = 8
#: Bytes of the largest tensor of such a block: of wide layers, pairs cost more than further passes.
ALL_PAIRS = 2**19


@dataclass(frozen=True)
class Cost:
    """Bytes of the tensors of a block.

    Attributes
    ----------
    fixed
        Independent of the block.
    moments
        (a, b) for each moment during a block: c stepped and m observed samples take at most c (a + b m).
    held, left
        Part of these that remains at the end: for each stepped sample, until its last block; for each pair, until it
        has been read.
    widest
        For each pair: the largest tensor.
    cached
        Best size in bytes of the largest tensor of a block, unless it has few samples; None: unlimited.

    Examples
    --------
    >>> cost = Cost(fixed=10, moments=((8, 0), (2, 3)), held=2)
    >>> cost.peak(1, 1), cost.peak(1, 3), cost.peak(2, 3)              # 10 + 8, 10 + 2 + 9, 10 + 2 (2 + 9)
    (18, 21, 32)
    >>> cost.most_observed(1, 35)                                      # 10 + 2 + 3·7 = 33
    7
    """

    fixed: int
    moments: tuple[tuple[int, int], ...]
    held: int
    left: int = 0
    widest: int = 1
    cached: int | None = None

    @classmethod
    def of_timelines(cls, one: Sequence[int], two: Sequence[int]) -> Cost:
        """Return the cost by the bytes after each operation, with one observed sample and with two."""
        if len(one) != len(two):  # the number of samples changed the operations: assume that each needs its own
            return cls(0, ((0, max(max(one), max(two) // 2 + 1)),), one[-1], one[-1])
        moments = {(2 * first - second, second - first) for first, second in zip(one, two, strict=True)}
        return cls(0, tuple(sorted(moments)), max(0, 2 * one[-1] - two[-1]), two[-1] - one[-1])

    def peak(self, stepped: int, observed: int) -> int:
        """Return the most bytes of a block."""
        return self.fixed + stepped * max(a + b * observed for a, b in self.moments)

    def most_observed(self, stepped: int, bytes_: int) -> int:
        """Return how many observed samples fit together with this many stepped ones; below 1 if none."""
        free = (bytes_ - self.fixed) // stepped
        return min(((free - a) // b if b > 0 else 2**62 if a <= free else 0) for a, b in self.moments)

    def read(self, fixed: int, stepped: int, passing: tuple[int, int]) -> Cost:
        """Return the cost including that of a reader.

        Parameters
        ----------
        fixed, stepped
            Permanent bytes: independent of the block, and for each stepped sample.
        passing
            (a, b) as in ``moments``, for the time when a block is read.
        """
        reading = self.held + passing[0], self.left + passing[1]
        moments = tuple((a + stepped, b) for a, b in (*self.moments, reading))
        return replace(self, fixed=self.fixed + fixed, moments=moments, held=self.held + stepped)


@dataclass(frozen=True)
class Plan:
    """Numbers of stepped and observed samples in each block of a probe.

    Attributes
    ----------
    stepped, observed
        Of a block.
    own
        Stepped samples whose own movements are computed at a time.
    batch
        Samples per plain forward pass.
    keeps
        Whether results of one block that others need are kept.
    """

    stepped: int
    observed: int
    own: int
    batch: int
    keeps: bool = False

    @classmethod
    def of(cls, cost: Cost, stepped: int, observed: int, memory_budget: int) -> Plan:
        """Return the plan for J stepped and M observed samples.

        Raises
        ------
        ModelError
            If one stepped and one observed sample take more than the budget.
        """
        bytes_ = int(memory_budget * TENSORS)
        if cost.peak(1, 1) > bytes_:
            raise too_small(cost, memory_budget)
        free, few = bytes_ - cost.fixed, min(observed, FEW)
        rows = min(stepped, max(1, free // (2 * cost.held + 1)), max(1, free // (cost.peak(1, few) - cost.fixed + 1)))
        columns = min(observed, cost.most_observed(rows, bytes_))
        if cost.cached is not None:
            largest = max(1, max(cost.cached, RETURNED) // (cost.widest * rows))
            some = min(columns, largest, max(2 * FEW, cost.cached // (cost.widest * rows)))
            # Blocks of equal size: a last one of few samples is slow.
            columns = min(columns, largest, -(-observed // max(1, round(observed / some))))
        most = OWN if cost.cached is None else max(1, min(OWN, math.isqrt(ALL_PAIRS // cost.widest)))
        own = max(n for n in range(1, most + 1) if n == 1 or rows * cost.held + cost.peak(n, n) <= bytes_)
        batch = cost.most_observed(1, bytes_)
        if cost.cached is not None:
            batch = min(batch, max(FEW, cost.cached // cost.widest))
        return cls(rows, columns, own, batch)

    def keeping(self, bytes_: int, cost: Cost, memory_budget: int) -> Plan:
        """Return the plan with results kept between blocks, if these bytes fit into the budget beside each block.

        >>> cost, plan = Cost(fixed=10, moments=((8, 3),), held=2), Plan(stepped=2, observed=4, own=1, batch=8)
        >>> [plan.keeping(5, cost, budget).keeps for budget in (68, 69)]       # 0.8 of it; 10 + 2 (8 + 3·4) + 5 = 55
        [False, True]
        """
        most = max(cost.peak(self.stepped, self.observed), self.stepped * cost.held + cost.peak(self.own, self.own))
        return replace(self, keeps=most + bytes_ <= int(memory_budget * TENSORS))

    def blocks_of(self, count: int, size: int) -> Iterator[slice]:
        """Split samples into blocks of a size.

        >>> [(block.start, block.stop) for block in Plan(2, 3, 1, 1).blocks_of(5, 2)]
        [(0, 2), (2, 4), (4, 5)]
        """
        return (slice(start, min(start + size, count)) for start in range(0, count, size))


def too_small(cost: Cost, memory_budget: int) -> ModelError:
    """Return the error of a budget that is too small for one pair of samples, with the least sufficient one."""
    least = -(-cost.peak(1, 1) * 1000 // int(1000 * TENSORS))
    unit, size = next(u for u in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("", 1)) if least >= u[1] or not u[0])
    # In hundredths of the unit, rounded up.
    spelt = [f"{-(-100 * n // size) / 100:g} {unit}".strip() for n in (least, memory_budget)]
    return ModelError(
        "`memory_budget`", f"be at least {spelt[0]}, for one stepped and one observed sample", spelt[1],
        f"memory_budget: {-(-least // size)}{unit}, fewer samples, or a smaller model",
    )  # fmt: skip
