"""Reading a protocol given by name, path or dictionary, and resolving ``extends``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.errors import ProtocolError, UnknownName
from elastic.protocol.dictionaries import read_mapping
from elastic.protocol.extending import merged
from elastic.protocol.formatting import EXTENDS, format_value
from elastic.protocol.shipped import likely_meant, shipped_protocols
from elastic.protocol.sources import find_protocol, is_name
from elastic.protocol.text import read_file, show
from elastic.protocol.writing import as_yaml
from elastic.protocol.yaml_tree import Tree

#: A protocol before reading: name, path or dictionary.
Given = str | os.PathLike[str] | Mapping[str, Any]

#: Longest chain of ``extends``.
MOST = 16


@dataclass(frozen=True)
class Read:
    """A protocol that has been read.

    Attributes
    ----------
    text
        The text of the file; an equivalent text if it extends another protocol or there is no file.
    tree
        Its data: a mapping without ``extends``.
    folder
        Folder to search for the user's modules; None without a file.
    """

    text: str
    tree: Tree
    folder: Path | None


def read_protocol(given: Any) -> Read:
    """Read a protocol and merge it with those it extends.

    Parameters
    ----------
    given
        The name of a shipped protocol, the path of a file, or a dictionary.

    Raises
    ------
    ElasticError
        See `find_protocol`, `read_file` and `read_mapping`; located at ``extends`` if it names no protocol or is
        circular.
    """
    if isinstance(given, Mapping):
        tree = _resolved(read_mapping(given), Path())
        return Read(as_yaml(tree.data), tree, None)
    if not isinstance(given, str | os.PathLike):
        found = f"{format_value(given)} ({type(given).__name__})"
        raise ProtocolError("`protocol`", "be a name, a path or a dictionary", found, "the path of a YAML file")
    source = find_protocol(given)
    if source.note:
        warnings.warn(source.note, stacklevel=3)
    path = source.path
    text, own = read_file(path)
    if EXTENDS not in own.data:
        return Read(text, own, source.folder)
    tree = _resolved(own, path.parent, (path,))
    heading = f"# {show(path.name)}, with {format_value(own.data[EXTENDS])}, which it extends\n"
    return Read(heading + as_yaml(tree.data), tree, source.folder)


def _resolved(own: Tree, folder: Path, seen: tuple[Path, ...] = ()) -> Tree:
    """Merge the data of a protocol with those it extends, recursively."""
    if EXTENDS not in own.data:
        return own
    base = _base(own, folder)
    place = own.places.of_value((EXTENDS,)).text or None
    if any(_same(base, former) for former in seen):
        found = " → ".join(show(path) for path in (*seen, base))
        raise ProtocolError(f"`{EXTENDS}`", "not lead back to itself", found, "another protocol", place=place)
    if len(seen) == MOST:
        hint = "writing out what they say"
        raise ProtocolError(f"`{EXTENDS}`", f"be {MOST} protocols in a row at most", "one more", hint, place=place)
    _, read = read_file(base)
    return merged(_resolved(read, base.parent, (*seen, base)), own)


def _base(own: Tree, folder: Path) -> Path:
    """Return the file of the extended protocol: a shipped one, or a path relative to the extending file."""
    value, place = own.data[EXTENDS], own.places.of_value((EXTENDS,)).text or None
    if not isinstance(value, str) or not value:
        expected = "be the name of a protocol that ships, or the path of a file"
        raise ProtocolError(f"`{EXTENDS}`", expected, format_value(value), f"{EXTENDS}: quickstart", place=place)
    if is_name(value):
        if value in shipped_protocols():
            return shipped_protocols()[value]
        hint = likely_meant(value, folder, "a path that ends in .yaml, or a protocol that ships")
        raise UnknownName(f"`{EXTENDS}`", "be a protocol that ships", format_value(value), hint, place=place)
    base = folder / value
    try:
        is_file = base.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        hint = likely_meant(value, base.parent, "a path relative to this file, or a protocol that ships")
        raise ProtocolError(f"`{EXTENDS}`", "be a file", f"{format_value(value)}, which is none", hint, place=place)
    return base


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False
