"""Saving and restoring the contents of containers: mappings, sequences, sets and closure cells."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, MutableMapping, MutableSequence, MutableSet
from itertools import chain
from operator import is_, methodcaller
from types import CellType
from typing import Any

#: Containers whose contents can be replaced in place.
CONTAINERS = (MutableMapping, MutableSequence, MutableSet, CellType)
#: The most common types, checked first because `isinstance` with abstract classes is slow.
COMMON = (dict, OrderedDict)


def contents(container: Any) -> Any:
    """Return the current contents of a container: a dictionary for a mapping, else a list.

    >>> kept = [1, 2]
    >>> saved = contents(kept)
    >>> kept.append(3)
    >>> same(kept, saved)
    False
    >>> refill(kept, saved)
    >>> kept
    [1, 2]
    """
    if type(container) in COMMON:
        return dict(container)
    if isinstance(container, CellType):
        return _cell(container)
    return dict(container) if isinstance(container, MutableMapping) else list(container)


def _cell(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # a variable that has no value yet
        return []


def same(container: Any, saved: Any) -> bool:
    """Whether a container has the saved contents, in the same order."""
    now = container if type(container) in COMMON else contents(container)
    if len(now) != len(saved):
        return False
    if not saved:
        return True
    if isinstance(saved, dict):
        return list(now) == list(saved) and all(map(is_, now.values(), saved.values()))
    return all(map(is_, now, saved))


def refill(container: Any, saved: Any) -> None:
    """Restore the saved contents of a container."""
    if isinstance(container, CellType):
        if saved:
            container.cell_contents = saved[0]
    elif isinstance(container, MutableMapping):
        container.clear()
        container.update(saved)
    elif isinstance(container, MutableSet):
        container.clear()
        for value in saved:
            container.add(value)
    else:
        container.clear()
        container.extend(saved)


class Mappings:
    """Dictionaries with their saved contents: most objects of a module are, and most of these stay as they were."""

    def __init__(self, pairs: list[tuple[Any, dict[Any, Any]]]) -> None:
        self._mappings = [mapping for mapping, _ in pairs]
        self._lengths = [len(saved) for _, saved in pairs]
        self._entries = list(_entries([saved for _, saved in pairs]))

    def are_same(self) -> bool:
        """Whether all have the same entries in the same order, by identity; in one pass without Python code."""
        if list(map(len, self._mappings)) != self._lengths:
            return False
        return all(map(is_, _entries(self._mappings), self._entries))


def _entries(mappings: list[dict[Any, Any]]) -> Iterator[Any]:
    """Yield the keys of all mappings, then their values."""
    return chain(chain.from_iterable(mappings), chain.from_iterable(map(methodcaller("values"), mappings)))


def differ_in_plain_values(now: Any, saved: Any, plain: Collection[type]) -> bool:
    """Whether the entries of two contents that differ are all of types without contents.

    >>> differ_in_plain_values({"training": True, "weight": []}, {"training": False}, {bool})
    False
    >>> differ_in_plain_values({"training": True, "calls": 1}, {"training": False}, {bool, int})
    True
    """
    if not (isinstance(saved, dict) and isinstance(now, dict)):
        return False
    missing = object()
    one = (value for key, value in now.items() if saved.get(key, missing) is not value)
    other = (value for key, value in saved.items() if now.get(key, missing) is not value)
    return all(type(value) in plain for value in chain(one, other))
