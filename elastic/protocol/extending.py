"""``extends:`` in a protocol: inherits from another protocol.

Mappings are merged recursively; other values, including lists, replace those of the base. A component (a model, an
optimizer, …) with another name replaces the base's component with all its options. An axis is replaced as a whole; null
removes it. The name is not inherited.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from elastic.errors import ProtocolError
from elastic.protocol.formatting import EXTENDS
from elastic.protocol.paths import Path
from elastic.protocol.positions import Place, Places
from elastic.protocol.sections import COMPONENTS
from elastic.protocol.yaml_tree import Tree

#: Keys that are not inherited.
OWN = (EXTENDS, "name")

#: Mappings whose entries are replaced as a whole: `axes.weight_decay`.
WHOLE = ("axes", "together")


def merged(base: Tree, own: Tree) -> Tree:
    """Merge the data of two protocols; every part keeps its location in its own file.

    Parameters
    ----------
    base
        The extended protocol, itself resolved.
    own
        The extending protocol.

    Examples
    --------
    >>> place = Place(0, 1, 1, "")
    >>> base = {"name": "a", "training": {"epochs": 9, "batch_size": 8}, "model": {"name": "mlp", "widths": [4]}}
    >>> own = {"extends": "a", "name": "b", "training": {"epochs": 2}, "model": "cnn"}
    >>> merged(Tree(base, Places(place)), Tree(own, Places(place))).data
    {'name': 'b', 'training': {'epochs': 2, 'batch_size': 8}, 'model': {'name': 'cnn'}}
    """
    places = Places(own.places.root)
    before = replace(base.places.root, source=base.places.root.source - 1)
    merging = _Merging(_earlier(base.places, before), own.places, places)
    data = merging.mappings(
        {k: v for k, v in base.data.items() if k not in OWN}, {k: v for k, v in own.data.items() if k != EXTENDS}, ()
    )
    first = {key: data[key] for key in OWN if key in data}
    return Tree({**first, **data}, places, own.cut or base.cut)


def refuse_settings(path: Path, place: Place) -> None:
    """Raise a ProtocolError if a ``--set`` sets ``extends``, which is resolved before."""
    if path[0] == EXTENDS:
        raise ProtocolError(
            f"`{EXTENDS}`", "be set in the protocol", "it after --set", "a file that says so (elastic new)",
            place=place.text,
        )  # fmt: skip


def _earlier(places: Places, root: Place) -> Places:
    """Shift locations before those of the extending file."""
    keys, values = (
        {path: replace(place, source=place.source - 1) for path, place in known.items()}
        for known in (places.keys, places.values)
    )
    return Places(root, keys, values)


class _Merging:
    """Merges two trees and keeps track of the origin of each part."""

    def __init__(self, base: Places, own: Places, places: Places) -> None:
        self._base, self._own, self._places = base, own, places

    def mappings(self, base: dict[str, Any], own: dict[str, Any], path: Path) -> dict[str, Any]:
        """Merge two mappings: keys of the base first, in their order."""
        self._note(self._own, path)
        merged: dict[str, Any] = {}
        for key in dict.fromkeys([*base, *own]):
            here = (*path, key)
            if key not in own:
                merged[key] = self._taken(base[key], here, self._base)
            elif len(here) == 2 and here[0] in WHOLE and own[key] is None:
                continue
            elif key in base:
                merged[key] = self._both(base[key], own[key], here)
            else:
                merged[key] = self._taken(own[key], here, self._own)
        return merged

    def _both(self, base: Any, own: Any, path: Path) -> Any:
        if path in COMPONENTS:
            base, own = _spelled_out(base, path, self._base), _spelled_out(own, path, self._own)
        if isinstance(base, dict) and isinstance(own, dict) and not _is_replaced(base, own, path):
            return self.mappings(base, own, path)
        return self._taken(own, path, self._own)

    def _taken(self, value: Any, path: Path, source: Places) -> Any:
        for inner in _paths_in(value, path):
            self._note(source, inner)
        return value

    def _note(self, source: Places, path: Path) -> None:
        if path:
            self._places.keys[path] = source.of_key(path)
            self._places.values[path] = source.of_value(path)


def _is_replaced(base: dict[str, Any], own: dict[str, Any], path: Path) -> bool:
    """Return whether a mapping replaces another as a whole."""
    is_entry = len(path) == 2 and path[0] in WHOLE
    return is_entry or (path in COMPONENTS and "name" in own and own["name"] != base.get("name"))


def _spelled_out(component: Any, path: Path, places: Places) -> Any:
    """Expand a component given by name to a mapping."""
    if not isinstance(component, str):
        return component
    places.keys[*path, "name"] = places.values[*path, "name"] = places.of_value(path)
    return {"name": component}


def _paths_in(value: Any, path: Path) -> Iterator[Path]:
    """Yield the path of a value and of everything in it."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths_in(item, (*path, key))
