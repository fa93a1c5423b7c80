"""Merging the labels of several cubes along one dim: keeps the order of each cube; layers are ordered by depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import TypeVar

from elastic.cube.coordinates import Label

Named = TypeVar("Named", int, float, str, Label)


def merged_labels(parts: Sequence[Sequence[Label]]) -> list[Label]:
    """Return all labels of several lists: numbers in ascending order, anything else in an order that each list has.

    Labels that are numbers in one list and texts in another become texts.

    >>> merged_labels([[0, 5, 10], [0, 2.5]])
    [0, 2.5, 5, 10]
    >>> merged_labels([["cat", "ship"], ["cat", "dog", "ship"]])
    ['cat', 'dog', 'ship']
    """
    met = list(dict.fromkeys(label for part in parts for label in part))
    if all(isinstance(label, int | float) for label in met):
        return sorted(met)
    if not all(isinstance(label, str) for label in met):
        parts = [list(map(str, part)) for part in parts]
        met = list(dict.fromkeys(label for part in parts for label in part))
    return in_common_order(parts, {label: place for place, label in enumerate(met)})


def merged_layers(parts: Sequence[Mapping[str, float]]) -> list[str]:
    """Return all layers of several networks, from shallow to deep.

    Layers of one network stay in its order; those of different networks come by depth. The depth of a layer that
    several have is its greatest.

    Parameters
    ----------
    parts
        {layer: depth} of each network, in its order.

    Examples
    --------
    A deep and a shallow network share the names of their last two layers:

    >>> deep = {"input": 0, "hidden_1": 1, "hidden_2": 2, "penultimate": 3, "logits": 4}
    >>> flat = {"input": 0, "penultimate": 1, "logits": 2}
    >>> merged_layers([flat, deep])
    ['input', 'hidden_1', 'hidden_2', 'penultimate', 'logits']

    Depth alone would put "e" (2) before "d" (4), which it follows:

    >>> merged_layers([{"a": 1, "b": 2, "c": 3, "d": 4}, {"d": 1, "e": 2}])
    ['a', 'b', 'c', 'd', 'e']
    """
    depths: dict[str, float] = {}
    for part in parts:
        for name, depth in part.items():
            depths[name] = max(depth, depths.get(name, depth))
    return in_common_order([list(part) for part in parts], depths)


def in_common_order(parts: Sequence[Sequence[Named]], rank: Mapping[Named, float]) -> list[Named]:
    """Return the labels of several lists in an order that each list has; of those that may be next, the lowest rank.

    Where no such order exists, because two lists have two labels in opposite orders, the ranks alone decide.

    >>> in_common_order([["a", "b"], ["b", "c"]], {"a": 2, "b": 1, "c": 0})
    ['a', 'b', 'c']
    >>> in_common_order([["a", "b"], ["b", "a"]], {"a": 2, "b": 1})
    ['b', 'a']
    """
    met = {label: place for place, label in enumerate(dict.fromkeys(label for part in parts for label in part))}
    after: dict[Named, set[Named]] = {label: set() for label in met}
    for part in parts:
        for label, later in pairwise(part):
            after[label].add(later)
    waits = dict.fromkeys(met, 0)
    for one in (one for following in after.values() for one in following):
        waits[one] += 1
    ready = [(rank[label], met[label], label) for label in met if not waits[label]]
    heapify(ready)
    order: list[Named] = []
    while ready:
        label = heappop(ready)[2]
        order.append(label)
        for one in after[label]:
            waits[one] -= 1
            if not waits[one]:
                heappush(ready, (rank[one], met[one], one))
    return order if len(order) == len(met) else sorted(met, key=lambda label: (rank[label], met[label]))
