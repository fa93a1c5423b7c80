"""Template protocols: a copy of another protocol in which comments list every option that it does not set."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from elastic.cube.atomic import translate_os_errors
from elastic.errors import ProtocolError
from elastic.listing.options import Option, options_in, options_of
from elastic.listing.sections import Section, sections
from elastic.protocol.components import default_component, spell_out
from elastic.protocol.data_section import Data
from elastic.protocol.header import SLUG
from elastic.protocol.probes_section import Probes
from elastic.protocol.reading import read_protocol
from elastic.protocol.registered_probes import by_name
from elastic.protocol.sections import COMPONENTS, Optimizer
from elastic.protocol.shipped import SUFFIXES, schema_line
from elastic.protocol.sources import find_protocol
from elastic.protocol.training_section import Training
from elastic.protocol.writing import spelled
from elastic.registry import registry

#: Columns of a line, and of the comment after a value.
WIDTH = 118

#: Sections whose values are copied as written, one per line.
PLAIN = ("together", "exclude")

OPENING = """\
# Protocol of elastic, copied from {start}.
# A line such as `# norm: none  # …` is an option with its default: remove the first # to set it.
# Describe a name or key: elastic show NAME. List all names: elastic list.
#
#   elastic plan {file}   estimates what it takes
#   elastic run {file}    runs it
"""


def write_start(file: Path, start: str = "quickstart") -> Path:
    """Write a template into a new file and return its path (with ``.yaml`` if it had no suffix).

    Parameters
    ----------
    file
        Must not exist. The study is named after it.
    start
        The protocol to copy: a name or a path.

    Raises
    ------
    ElasticError
        If the file exists, cannot be written or its name is not a valid study name; if the protocol does not exist.
    """
    if not file.name or file.is_dir():
        raise ProtocolError("`FILE`", "be a new file", f"{file}, which is a folder", str(file / "mine.yaml"))
    path = file if file.suffix else file.with_name(f"{file.name}.yaml")
    if path.suffix not in SUFFIXES:
        raise ProtocolError("`FILE`", "end in .yaml", repr(str(file)), f"{file.with_suffix('.yaml')}")
    name = slug_of(path.stem)
    text = schema_line() + start_of(find_protocol(start).path, name, shown=quote(str(path)), start=start)
    if path.exists():
        raise ProtocolError("`FILE`", "be a new file", f"{path}, which exists", "another name")
    if not path.parent.is_dir():
        hint = f"mkdir -p {quote(str(path.parent))}"
        raise ProtocolError("`FILE`", "be in an existing folder", str(path), hint)
    with translate_os_errors(path), path.open("x", encoding="utf-8") as stream:
        try:
            stream.write(text)
            stream.flush()
        except BaseException:  # a full disk must leave no part of a protocol
            path.unlink(missing_ok=True)
            raise
    return path


def slug_of(stem: str) -> str:
    """Return the name of a study from the name of its file.

    >>> slug_of("My study (2)")
    'my-study-2'
    """
    name = re.sub(r"[^a-z0-9_]+", "-", stem.lower()).strip("-_")[:64]
    if not re.fullmatch(SLUG, name) or stem.startswith("."):
        expected = "have a name of a-z and 0-9, which becomes the study's name"
        raise ProtocolError("`FILE`", expected, repr(stem), "mine.yaml")
    return name


def start_of(path: Path, name: str, *, shown: str, start: str) -> str:
    """Return a copy of a protocol under another name, with all options in comments.

    Parameters
    ----------
    path
        Path of the protocol to copy.
    name
        Name of the study.
    shown, start
        Names of the new file and of the copied protocol in the leading comment.
    """
    data = read_protocol(path).tree.data
    for component in COMPONENTS:
        data = spell_out(data, (*component, "name"))
    opening = OPENING.format(start=start, file=shown)
    blocks = [_block(key, section, {**data, "name": name}) for key, section in sections().items()]
    return "\n".join([opening.rstrip("\n"), *(block for block in blocks if block)]) + "\n"


def _block(key: str, section: Section, data: Mapping[str, Any]) -> str:
    """Return the lines of one section of a protocol; "" for a section that is no top-level key."""
    if key in ("extends", "imbalance"):
        return ""
    heading = [f"\n# {line}" if not place else f"# {line}" for place, line in enumerate(_about(key, section))]
    value = data.get(key)
    if key in ("name", "title", "question", "cites"):
        return "\n".join([*heading, *_words(key, value, section)]).lstrip("\n" if key != "name" else "")
    if key in ("axes", *PLAIN, "claims"):
        return "\n".join([*heading, *_entries(key, value, section)])
    varied = {axis["path"] for axis in _mappings(data.get("axes")) if isinstance(axis.get("path"), str)}
    if value is None and key in varied:
        return "\n".join([*heading, f"# {key} is set by an axis."])
    return "\n".join([*heading, f"{key}:", *_options(key, value or {}, varied)])


def _about(key: str, section: Section) -> Iterator[str]:
    """Yield comments with the summary of a section and the names it can use."""
    summary = f"{section.summary} (elastic show {key})"
    yield from textwrap.wrap(summary, WIDTH - 2)
    if section.kind and key != "probes":
        known = ", ".join(registry(section.kind).names())
        yield from textwrap.wrap(
            f"{section.kind.capitalize()}: {known}", WIDTH - 2, break_long_words=False, break_on_hyphens=False
        )


def _words(key: str, value: Any, section: Section) -> list[str]:
    if value is None:
        return [f"# {line}" for line in section.example.splitlines()]
    line = f"{key}: {spelled(value)}"
    if len(line) <= WIDTH or not isinstance(value, str) or value.strip() != " ".join(value.split()):
        return [line]
    indicator = ">" if value.endswith("\n") else ">-"  # a folded text is one line
    return [f"{key}: {indicator}", *(f"  {part}" for part in textwrap.wrap(value, WIDTH - 2, break_on_hyphens=False))]


def _entries(key: str, value: Any, section: Section) -> list[str]:
    """Return the lines of a mapping or a list, one entry per line."""
    if not value:
        return ["# For example:", *(f"#   {line}" for line in section.example.splitlines())]
    items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    return [f"{key}:", *(f"  {'- ' if name is None else spelled(name) + ': '}{spelled(item)}" for name, item in items)]


def _mappings(axes: Any) -> list[Mapping[str, Any]]:
    return [axis for axis in axes.values() if isinstance(axis, dict)] if isinstance(axes, dict) else []


def _options(key: str, value: Mapping[str, Any], varied: set[str]) -> Iterator[str]:
    """Yield the lines of a component or a mapping of options."""
    if key == "probes":
        yield from _probes(value)
        return
    if key == "training":
        yield from _listed(value, options_in(Training), 1, varied, key)
        return
    shared = {"data": options_in(Data), "optimizer": options_in(Optimizer)}.get(key, [])
    own = [option for option in shared if option.name not in ("name", "schedule")]
    yield from _component((key,), value, own, varied)
    if key == "optimizer":
        yield "  # Schedule of the learning rate (elastic list schedules)"
        yield "  schedule:"
        schedule = value.get("schedule", default_component((key, "schedule")))
        yield from _component((key, "schedule"), schedule, [], varied)


def _component(
    path: tuple[str, ...], value: Mapping[str, Any], shared: list[Option], varied: set[str]
) -> Iterator[str]:
    """Yield the lines of a component, indented under its key."""
    value = value or default_component(path) or {}
    indent = "  " * len(path)
    if "name" not in value:
        yield f"{indent}# its name is set by an axis."
        return
    yield f"{indent}name: {spelled(value['name'])}"
    entry = registry(COMPONENTS[path]).get(str(value["name"]))
    rest = {name: item for name, item in value.items() if name not in ("name", "schedule")}
    yield from _listed(rest, [*options_of(entry), *shared], len(path), varied, ".".join(path))


def _probes(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of probes: epochs, each registered probe with its options, the memory budget."""
    yield "  # Epochs to probe (elastic list probe_schedules)"
    yield "  at:"
    yield from _component(("probes", "at"), value.get("at") or {}, [], set())
    known = {option.name: option for option in options_in(Probes)}
    entries = {name: registry("probes").get(name) for name in ("collapse", "elasticity")} | dict(by_name())
    for name, entry in entries.items():
        options = value.get(name, {} if name in known else None)
        yield from textwrap.wrap(entry.summary, WIDTH, initial_indent="  #   ", subsequent_indent="  #   ")
        if options is None:
            yield f"  {'' if name in value else '# '}{name}: null"
            continue
        yield f"  {name}:" if options else f"  {name}: {{}}"
        yield from _listed(options, options_of(entry), 2, set(), name) if options else ()
    yield from _listed({k: v for k, v in value.items() if k == "memory_budget"}, [known["memory_budget"]], 1, set(), "")


def _listed(value: Mapping[str, Any], options: list[Option], level: int, varied: set[str], path: str) -> Iterator[str]:
    """Yield a line for each option: as written, or as a comment with its default."""
    indent = "  " * level
    known = {option.name: option for option in options}
    for name in dict.fromkeys([*value, *known]):
        option = known.get(name)
        if name in value:
            yield from _explained(f"{indent}{name}: {spelled(value[name])}", option)
        elif option is not None and option.is_required:
            yield f"{indent}# {name} is {'set by an axis' if f'{path}.{name}' in varied else 'missing'}"
        elif option is not None:
            yield from _explained(f"{indent}# {name}: {option.default}", option)


def _explained(line: str, option: Option | None) -> Iterator[str]:
    """Yield a line with the option's meaning after it, or above it if that is too long."""
    comment = "" if option is None else "; ".join(filter(None, (option.type, option.meaning)))
    if len(line) + len(comment) + 4 <= WIDTH or not comment:
        yield f"{line}  # {comment}" if comment else line
        return
    indent = line[: len(line) - len(line.lstrip())]
    yield from textwrap.wrap(comment, WIDTH, initial_indent=f"{indent}#   ", subsequent_indent=f"{indent}#   ")
    yield line
