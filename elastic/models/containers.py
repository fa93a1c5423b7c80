"""Saving and restoring the contents of containers: mappings, sequences, sets and closure cells."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import MutableMapping, MutableSequence, MutableSet
from operator import is_
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
