"""Where the parts of a protocol stand: in which line of the file, or in which ``--set``."""

from __future__ import annotations

from dataclasses import dataclass, field

from elastic.protocol.paths import Path


@dataclass(frozen=True, order=True)
class Place:
    """A place that a message can name; places are in reading order, the file before every ``--set``.

    Attributes
    ----------
    source
        0 for the file, 1 for the first ``--set``, 2 for the second, …
    line, column
        Counted from 1.
    text
        ``file:line:column``, or ``--set path=value``.
    """

    source: int
    line: int
    column: int
    text: str


@dataclass
class Places:
    """Places of every key and of every value, by path; what has none of its own is where its parent is.

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
        """Return the place of the value at a path, or of the nearest part around it that has one."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values[path] if path else self.root

    def of_key(self, path: Path) -> Place:
        """Return the place of the key that a path ends in, or what `of_value` returns where it has none."""
        return self.keys.get(path) or self.of_value(path)

    def ends(self) -> dict[Path, Place]:
        """Return the place of the last value that lies in each part of the data, by its path."""
        found: dict[Path, Place] = {}
        for path, place in self.values.items():
            for length in range(len(path) + 1):
                found[path[:length]] = max(place, found.get(path[:length], place))
        return found

    def replace(self, path: Path, place: Place) -> None:
        """Let a whole part (and the parts around it that had no place) stand in one new place."""
        for known in (self.keys, self.values):
            for old in [p for p in known if p[: len(path)] == path]:
                del known[old]
        for length in range(1, len(path) + 1):
            self.keys.setdefault(path[:length], place)
            self.values.setdefault(path[:length], place)
