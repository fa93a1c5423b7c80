"""``extends:`` in a protocol: another protocol that it starts from.

Mappings are merged, at every depth; whatever else the protocol says replaces what the other says, lists among it. A
component (a model, an optimizer, …) that has another name replaces the other's with all its options. An axis is
replaced as a whole, and left out where it is null. The name is no part of what is taken over: it names the study.
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

#: What is not taken over from the protocol that is extended.
OWN = (EXTENDS, "name")

#: Parts of whose entries each is one value: `axes.weight_decay`.
WHOLE = ("axes", "together")


def merged(base: Tree, own: Tree) -> Tree:
    """Return the data of a protocol that extends another, each part with its place in the file that says it.

    Parameters
    ----------
    base
        Of the protocol that is extended, itself resolved.
    own
        Of the protocol that extends it.

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
    """Raise a ProtocolError if a ``--set`` names what a protocol extends: by then it is resolved."""
    if path[0] == EXTENDS:
        raise ProtocolError(
            f"`{EXTENDS}`", "stand in the protocol", "it after --set", "a file that says so (elastic new)",
            place=place.text,
        )  # fmt: skip


def _earlier(places: Places, root: Place) -> Places:
    """Return places that come before those of the file that extends theirs."""
    keys, values = (
        {path: replace(place, source=place.source - 1) for path, place in known.items()}
        for known in (places.keys, places.values)
    )
    return Places(root, keys, values)


class _Merging:
    """Merges two trees, and notes from which of them each part is."""

    def __init__(self, base: Places, own: Places, places: Places) -> None:
        self._base, self._own, self._places = base, own, places

    def mappings(self, base: dict[str, Any], own: dict[str, Any], path: Path) -> dict[str, Any]:
        """Return two mappings as one: keys of the base first, in their order."""
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
    """Return a component that is given by its name alone as a mapping."""
    if not isinstance(component, str):
        return component
    places.keys[*path, "name"] = places.values[*path, "name"] = places.of_value(path)
    return {"name": component}


def _paths_in(value: Any, path: Path) -> Iterator[Path]:
    """Yield the path of a value and of all that lies in it."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths_in(item, (*path, key))
