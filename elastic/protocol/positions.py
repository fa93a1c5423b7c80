"""Locations of keys and values of a protocol: a line of the file, or a ``--set``."""

from __future__ import annotations

from dataclasses import dataclass, field

from elastic.protocol.paths import Path


@dataclass(frozen=True, order=True)
class Place:
    """A location for messages; locations sort in reading order, the file before every ``--set``.

    Attributes
    ----------
    source
        0 for the file, 1 for the first ``--set``, 2 for the second, …
    line, column
        1-based.
    text
        ``file:line:column``, or ``--set path=value``.
    """

    source: int
    line: int
    column: int
    text: str


@dataclass
class Places:
    """Locations of all keys and values, by path; a value without its own location has that of its parent.

    Examples
    --------
    >>> places = Places(Place(0, 1, 1, "a.yaml:1:1"))
    >>> places.keys["training", "epochs"] = Place(0, 3, 3, "a.yaml:3:3")
    >>> places.values["training", "epochs"] = Place(0, 3, 11, "a.yaml:3:11")
    >>> places.of_value(("training", "epochs")).text, places.of_key(("training", "epochs")).text
    ('a.yaml:3:11', 'a.yaml:3:3')
    >>> places.of_value(("training", "batch_size")).text
    'a.yaml:1:1'
    """

    root: Place
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)

    def of_value(self, path: Path) -> Place:
        """Return the location of the value at a path, or of its closest parent that has one."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values[path] if path else self.root

    def of_key(self, path: Path) -> Place:
        """Return the location of the last key of a path, or else of its value (`of_value`)."""
        return self.keys.get(path) or self.of_value(path)

    def ends(self) -> dict[Path, Place]:
        """Return the location of the last value inside each part of the data, by path."""
        places: dict[Path, Place] = {}
        for path, place in self.values.items():
            for length in range(len(path) + 1):
                places[path[:length]] = max(place, places.get(path[:length], place))
        return places

    def replace(self, path: Path, place: Place) -> None:
        """Set the location of a whole part, and of its parents without a location."""
        for known in (self.keys, self.values):
            for old in [p for p in known if p[: len(path)] == path]:
                del known[old]
        for length in range(1, len(path) + 1):
            self.keys.setdefault(path[:length], place)
            self.values.setdefault(path[:length], place)
