"""Output of `elastic show NAME` for registered functions, sections, protocols and kinds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from elastic.errors import OptionError, UnknownName
from elastic.listing.facts import facts_of
from elastic.listing.lines import lines_of
from elastic.listing.names import KINDS, PROTOCOLS, SECTIONS, names, names_table
from elastic.listing.options import Option, options_in, options_of, options_table
from elastic.listing.prose import prose_of
from elastic.listing.protocols import protocol_description
from elastic.listing.sections import sections
from elastic.protocol.shipped import shipped_protocols
from elastic.protocol.sources import is_name
from elastic.registry import Entry, nearest, registry

#: Singular of each kind.
SINGULAR = {
    "data": "data set",
    "losses": "loss",
    "probe_schedules": "probe schedule",
    SECTIONS: "part of a protocol",
}


def description(name: str, kind: str | None = None) -> RenderableType:
    """Describe a name: a registered function, a section of a protocol, a protocol or its file, or a kind.

    Parameters
    ----------
    name
        The name. If several kinds have it, all are described.
    kind
        Describe only the name of this kind.

    Raises
    ------
    UnknownName
        If nothing has the name.
    OptionError
        If there is no such kind.
    """
    if kind is not None and kind not in KINDS:
        hint = nearest(kind, list(KINDS), fallback=f"one of {', '.join(KINDS)}")
        raise OptionError("`--kind`", "be a kind of names (elastic list)", repr(kind), hint)
    if not is_name(name):
        return protocol_description(name)
    asked = [kind] if kind else KINDS
    kinds = [one for one in asked if name in _known(one)]
    if kinds:
        parts = [_described(name, one) for one in kinds]
        also = f"{name} is {len(kinds)} things; one alone: elastic show {name} --kind {' | '.join(kinds)}"
        return Group(*_between(parts), *([Text(""), Text(also, style="dim")] if len(kinds) > 1 else []))
    if kind is None and name in KINDS:
        return names_table(names([name]))
    raise _unknown(name, asked)


def _unknown(name: str, kinds: Sequence[str]) -> UnknownName:
    everything = {known: kind for kind in kinds for known in _names(kind)} | {kind: kind for kind in kinds}
    lower = {known.lower(): known for known in everything}
    close = nearest(name.lower(), list(lower), fallback="")
    hint = repr(lower[close.strip("'")]) if close else "another name"
    return UnknownName("`NAME`", "be registered", repr(name), f"{hint} (elastic list)")


def _names(kind: str) -> Sequence[str]:
    if kind == PROTOCOLS:
        return list(shipped_protocols())
    return list(sections()) if kind == SECTIONS else registry(kind).names()


def _known(kind: str) -> Sequence[str]:
    """Return the names of a kind; none if the kind needs torch and torch is not installed."""
    try:
        return _names(kind)
    except ModuleNotFoundError:
        return []


def _described(name: str, kind: str) -> RenderableType:
    if kind == PROTOCOLS:
        return protocol_description(name)
    return _section(name) if kind == SECTIONS else _registered(registry(kind).get(name))


def _registered(entry: Entry) -> RenderableType:
    """Describe a registered function."""
    parts: list[RenderableType] = [_heading(entry.name, entry.kind), Text(prose_of(entry.docstring)), *facts_of(entry)]
    return Group(*_between([*parts, *_options(options_of(entry)), _to_copy(lines_of(entry))], gap_after=1))


def _section(name: str) -> RenderableType:
    """Describe a section of a protocol."""
    section = sections()[name]
    parts: list[RenderableType] = [_heading(name, SECTIONS), Text(f"{section.summary}.")]
    if section.further:
        parts.append(Text(section.further))
    if section.kind and (known := _known(section.kind)):
        parts.append(Text(f"Names (elastic show NAME): {', '.join(known)}"))
    hidden = ("left_out", "name")
    given = [] if section.keys is None else [o for o in options_in(section.keys) if o.name not in hidden]
    keys = [replace(option, default=section.defaults.get(option.name, option.default)) for option in given]
    return Group(*_between([*parts, *_options(keys, "key"), _to_copy(section.example.splitlines())], gap_after=1))


def _heading(name: str, kind: str) -> Text:
    return Text.assemble((name, "bold"), f"  ({SINGULAR.get(kind, kind.removesuffix('s'))})")


def _options(options: list[Option], what: str = "option") -> list[RenderableType]:
    return [options_table(options, what)] if options else []


def _to_copy(lines: Sequence[str]) -> RenderableType:
    """Format lines to copy."""
    return Padding(Text("\n".join(lines), style="cyan", overflow="fold"), (0, 0, 0, 2))


def _between(parts: Sequence[RenderableType], gap_after: int = 0) -> Iterator[RenderableType]:
    """Yield parts separated by empty lines, except after the first few."""
    for place, part in enumerate(parts):
        if place > gap_after or (place and not gap_after):
            yield Text("")
        yield part
