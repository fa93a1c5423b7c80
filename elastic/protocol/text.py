"""Reading of protocol files and of ``--set path=value`` to plain data with locations."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from functools import partial
from pathlib import Path

from elastic.errors import ProtocolError
from elastic.protocol.formatting import one_line
from elastic.protocol.paths import Path as Dotted
from elastic.protocol.positions import Place
from elastic.protocol.shipped import likely_meant
from elastic.protocol.yaml_events import Locate
from elastic.protocol.yaml_scalars import UNPRINTABLE
from elastic.protocol.yaml_tree import MAX_LEVELS, Tree, read_tree
from elastic.registry import shorten

MAX_BYTES = 1_000_000

#: Most characters of a ``--set`` in a message; the user may have pasted a whole file.
_MAX_SHOWN = 80


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a protocol file.

    Raises
    ------
    ProtocolError
        If it is missing, no regular file, unreadable, larger than `MAX_BYTES`, not UTF-8 or has control characters.
    """
    shown = show(path)
    try:
        # Checked before opening, because opening a pipe blocks until it has a writer.
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):
            found = "a folder" if stat.S_ISDIR(mode) else "something else"
            inside = Path(path) / "protocol.yaml"  # the folder of a study
            hint = show(inside) if inside.is_file() else "the path of a YAML file"
            raise _unreadable(shown, "be a file", found, hint)
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        found = getattr(error, "strerror", None) or str(error)
        hint = likely_meant(os.fsdecode(path), Path(path).parent, "another path")
        raise _unreadable(shown, "be a readable file", found[:1].lower() + found[1:], hint) from None
    if len(raw) > MAX_BYTES:
        raise _unreadable(shown, f"have at most {MAX_BYTES:,} bytes", "more", "a file that holds a protocol only")
    return _decode(raw, shown)


def show(path: str | os.PathLike[str]) -> str:
    """Format a path for messages, including undecodable bytes."""
    return one_line(os.fsdecode(path))


def read_file(path: str | os.PathLike[str]) -> tuple[str, Tree]:
    """Read a protocol file; return its text and its data, a mapping.

    Raises
    ------
    ProtocolError
        See `read_text` and `read_tree`; if the text is empty or not a mapping.
    """
    text, shown = read_text(path), show(path)
    tree = read_tree(text, partial(_in_file, shown))
    if tree is None or tree.data is None:
        raise _unreadable(shown, "hold a protocol", "an empty file", "elastic new FILE, which writes one")
    if not isinstance(tree.data, dict):
        found = shorten(tree.data)
        raise _unreadable(tree.places.of_value(()).text, "be a mapping of keys to values", found, "name: my-study")
    return text, tree


def read_setting(setting: str, number: int = 1) -> tuple[Dotted, Tree]:
    """Parse the ``number``-th ``--set path=value``.

    Raises
    ------
    ProtocolError
        If it does not have this form, or its value is not YAML (with the limits of a file).

    Examples
    --------
    >>> path, tree = read_setting("axes.seed=[0, 1]")
    >>> path, tree.data, tree.places.root.text
    (('axes', 'seed'), [0, 1], '--set axes.seed=[0, 1]')
    """
    shown = one_line(setting, limit=_MAX_SHOWN)
    name, equals, value = setting.partition("=")
    parts = tuple(part.strip() for part in name.split("."))
    place = Place(number, 1, 1, f"--set {shown}")
    if not equals or not all(parts) or len(parts) > MAX_LEVELS:
        raise ProtocolError("--set", "be path=value", shorten(setting), "--set training.epochs=5", place=place.text)
    _refuse_unprintable(setting, lambda line, column: place)
    tree = read_tree(value, lambda line, column: replace(place, line=line + 1, column=column + 1))
    if tree is None:
        raise ProtocolError("--set", "have a value after the =", "nothing", f"{one_line(name)}=null", place=place.text)
    if tree.cut:
        raise tree.cut
    return parts, tree


def _decode(raw: bytes, shown: str) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        place = _in_file(shown, before.count(b"\n"), len(before) - (before.rfind(b"\n") + 1))
        found = f"the byte 0x{raw[error.start]:02x}"
        raise _unreadable(place.text, "be text in UTF-8", found, "saving it as UTF-8 (is it a YAML file?)") from None
    _refuse_unprintable(text, partial(_in_file, shown))
    return text


def _refuse_unprintable(text: str, locate: Locate) -> None:
    if found := UNPRINTABLE.search(text):
        line, column = text.count("\n", 0, found.start()), found.start() - (text.rfind("\n", 0, found.start()) + 1)
        place, hint = locate(line, column), "leaving it out (is it a YAML file?)"
        raise _unreadable(place.text, "be of printable characters", repr(found.group()), hint)


def _in_file(shown: str, line: int, column: int) -> Place:
    return Place(0, line + 1, column + 1, f"{shown}:{line + 1}:{column + 1}")


def _unreadable(place: str, expected: str, found: str, hint: str) -> ProtocolError:
    return ProtocolError("the protocol", expected, found, hint, place=place)
