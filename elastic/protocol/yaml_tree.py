"""Parsing of YAML to plain data with the location of every key and value.

Events are processed one by one, without recursion and without ruamel's constructors: the nesting depth is limited
before anything is built, and a file can create only mappings, lists and scalars.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML, events

from elastic.errors import ProtocolError
from elastic.protocol.formatting import dotted
from elastic.protocol.paths import Path
from elastic.protocol.positions import Place, Places
from elastic.protocol.white_space import TabScanner
from elastic.protocol.yaml_events import Locate, read_events
from elastic.protocol.yaml_scalars import kind_of, read_scalar
from elastic.registry import shorten

MAX_LEVELS = 32

#: Most keys of one mapping; parsing stops at the next one.
MAX_KEYS = 2_000

#: Most duplicate keys that a message lists.
MOST_REPEATED = 50

#: Merge key of YAML 1.1.
MERGE = "<<"

_NO_KEY = object()


@dataclass
class Tree:
    """Plain data (mappings, lists, strings, numbers, booleans, None) and the locations of its parts.

    ``cut`` is the error of a mapping with too many keys, after which parsing stopped. Errors in the first keys, which
    such files mostly have, take precedence.
    """

    data: Any
    places: Places
    cut: ProtocolError | None = None


def read_tree(text: str, locate: Locate) -> Tree | None:
    r"""Parse a YAML text of printable characters; the data are None if it has no document.

    Parameters
    ----------
    text
        YAML 1.2.
    locate
        Converts a 0-based line and column to a location.

    Raises
    ------
    ProtocolError
        For invalid YAML 1.2, aliases, merge keys, tags, directives, a second document, duplicate keys, keys that are
        not strings, more than `MAX_LEVELS` levels, and scalars that `read_scalar` rejects.

    Examples
    --------
    >>> tree = read_tree("a:\n  b: [1e-3, x]", lambda line, column: Place(0, line + 1, column + 1, ""))
    >>> tree.data, tree.places.values["a", "b", 1].line, tree.places.values["a", "b", 1].column
    ({'a': {'b': [0.001, 'x']}}, 2, 13)
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = TabScanner
    builder = _Builder(locate, yaml.resolver, Tree(None, Places(locate(0, 0))))
    for event in read_events(yaml, text, locate):
        builder.take(event)
        if builder.tree.cut:
            break
    if builder.repeated:
        raise builder.repeated[0].with_others(builder.repeated[1:MOST_REPEATED])
    return builder.tree if builder.documents else None


@dataclass
class _Open:
    """An open mapping or list; a mapping may have a key whose value is still missing."""

    path: Path
    container: dict[str, Any] | list[Any]
    key: Any = _NO_KEY


@dataclass
class _Builder:
    """Builds the data from events."""

    locate: Locate
    resolver: Any
    tree: Tree
    documents: int = 0
    repeated: list[ProtocolError] = field(default_factory=list)
    open: list[_Open] = field(default_factory=list)

    def take(self, event: Any) -> None:
        if isinstance(event, events.DocumentStartEvent):
            self._start_document(event)
        elif isinstance(event, (events.MappingEndEvent, events.SequenceEndEvent)):
            self.open.pop()
        elif isinstance(event, events.NodeEvent):
            self._take_node(event)

    def _start_document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            raise self._wrong(event, "the protocol", "be one YAML document", "a second one", "one file for each")
        if event.tags or event.version not in (None, (1, 2)):
            raise self._wrong(event, "the protocol", "be plain YAML 1.2", "a directive", "no line that begins with %")

    def _take_node(self, event: Any) -> None:
        if isinstance(event, events.AliasEvent) or event.anchor is not None:
            found = f"{'*' if isinstance(event, events.AliasEvent) else '&'}{event.anchor}"
            expected = "have no anchors and aliases (every value has one place, which messages name)"
            raise self._wrong(
                event, "the protocol", expected, shorten(found), "writing the value out where it is needed"
            )
        if event.tag is not None:
            raise self._wrong(event, "the protocol", "have no tags", shorten(str(event.tag)), "the value alone")
        if self.open and isinstance(self.open[-1].container, dict) and self.open[-1].key is _NO_KEY:
            self._take_key(event)
        elif isinstance(event, events.ScalarEvent):
            self._put(event, self._scalar(event, self._next_path()))
        else:
            self._start_container(event)

    def _take_key(self, event: Any) -> None:
        top = self.open[-1]
        if not isinstance(event, events.ScalarEvent):
            raise self._wrong(event, "a key", "be text", "a mapping or list", "`key: value`")
        if event.value == MERGE and event.implicit[0]:
            expected = "have no merge keys (YAML 1.1 has them, 1.2 has not) and no aliases"
            raise self._wrong(event, "the protocol", expected, repr(MERGE), "writing the merged keys out")
        key = self._scalar(event, top.path)
        if not isinstance(key, str):
            raise self._wrong(event, "a key", "be text", shorten(event.value), "quotes around it if it is text")
        path = (*top.path, key)
        if len(top.container) == MAX_KEYS:
            expected, hint = f"have at most {MAX_KEYS:,} keys", "a look at the first of them (elastic schema)"
            self.tree.cut = self._wrong(event, dotted(top.path), expected, "one more", hint)
            return
        if key in top.container:
            found = f"it again (first at {self.tree.places.keys[path].text})"
            self.repeated.append(self._wrong(event, dotted(path), "be given once", found, "keeping one of them"))
        self.tree.places.keys.setdefault(path, self._place(event))
        top.key = key

    def _start_container(self, event: Any) -> None:
        if len(self.open) == MAX_LEVELS:
            found, hint = "one more", "fewer brackets or less indentation"
            raise self._wrong(event, "the protocol", f"have at most {MAX_LEVELS} levels", found, hint)
        container: dict[str, Any] | list[Any] = {} if isinstance(event, events.MappingStartEvent) else []
        path = self._next_path()
        self._put(event, container)
        self.open.append(_Open(path, container))

    def _next_path(self) -> Path:
        """Return the path of the next value."""
        if not self.open:
            return ()
        top = self.open[-1]
        return (*top.path, len(top.container) if isinstance(top.container, list) else top.key)

    def _put(self, event: Any, value: Any) -> None:
        path = self._next_path()
        place = self._place(event)
        if isinstance(event, events.ScalarEvent) and not event.value and event.style is None:
            # No value after the colon: the parser reports it on the next line.
            place = self.tree.places.keys.get(path, place)
        self.tree.places.values[path] = place
        if not self.open:
            self.tree.data = value
        elif isinstance(container := self.open[-1].container, list):
            container.append(value)
        else:
            container[self.open[-1].key] = value
            self.open[-1].key = _NO_KEY

    def _scalar(self, event: Any, path: Path) -> Any:
        try:
            return read_scalar(kind_of(self.resolver, event.value, event.implicit), event.value)
        except ProtocolError as error:
            name = dotted(path) if path else error.field
            raise self._wrong(event, name, error.expected, error.found, error.hint) from None

    def _place(self, event: Any) -> Place:
        return self.locate(event.start_mark.line, event.start_mark.column)

    def _wrong(self, event: Any, field: str, expected: str, found: str, hint: str) -> ProtocolError:
        return ProtocolError(field, expected, found, hint, place=self._place(event).text)
