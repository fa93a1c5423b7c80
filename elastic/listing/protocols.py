"""Description of a protocol: question, training, grid, claims, cost and sources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from shlex import quote

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from elastic.claims.sentence import stated
from elastic.listing.facts import source_in_words
from elastic.protocol import Component, Protocol, load_protocol
from elastic.protocol.later_components import options_of
from elastic.protocol.sources import find_protocol
from elastic.protocol.text import read_text
from elastic.protocol.writing import spelled
from elastic.registry import registry
from elastic.study.growth import probed

#: Rows that highlight names.
LISTS = ("claims", "notes", "sources")

#: Most labels of an axis that the description lists.
MOST = 8

#: How a comment on the cost of a protocol begins.
TIME = re.compile(r"^.{0,120}?\b(second|minute|hour|day)s?\b")

#: A comment for editors.
SCHEMA_LINE = "yaml-language-server:"


def protocol_description(given: str) -> RenderableType:
    """Describe a protocol: title, question, training, grid, claims in words, cost, sources.

    Raises
    ------
    ElasticError
        See `load_protocol`.
    """
    source = find_protocol(given)
    protocol = load_protocol(source.path)
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    comments = comment_of(read_text(source.path))
    for name, lines in [*_rows(protocol, given, comments), ("file", [str(source.path)])]:
        mark = "- " if len(lines) > 1 and name in LISTS else ""
        for place, line in enumerate(lines):
            table.add_row("" if place else name, Text(mark + line))
    heading = Text.assemble((protocol.name, "bold"), "  (protocol)")
    return Group(heading, Text(protocol.title), Text(""), table)


def _rows(protocol: Protocol, given: str, comments: list[str]) -> Iterator[tuple[str, list[str]]]:
    if protocol.question:
        yield "question", [" ".join(protocol.question.split())]
    yield "trains", list(_trained(protocol))
    yield "grid", list(_grid(protocol))
    yield "probes", list(_probes(protocol))
    yield "claims", list(_claims(protocol)) or ["none"]
    yield "cost", list(_cost(protocol, given, comments))
    if notes := [comment for comment in comments if not TIME.search(comment)]:
        yield "notes", notes
    if protocol.cites:
        yield "sources", [source_in_words(key) for key in protocol.cites]
    yield "run it", [f"elastic run {quote(given)}", f"elastic new mine.yaml --from {quote(given)}"]


def _trained(protocol: Protocol) -> Iterator[str]:
    data, model = _component(protocol.data, "data"), _component(protocol.model, "models")
    yield f"{model} on {data}, {_component(protocol.loss, 'losses')}"
    training = protocol.training
    batches = "the whole train split at once" if training.batch_size is None else f"batches of {training.batch_size}"
    schedule = _component(protocol.optimizer.schedule, "schedules")
    yield f"{_component(protocol.optimizer, 'optimizers')}, schedule {schedule}"
    yield f"{training.epochs:,} epochs, {batches}"


def _component(component: Component, kind: str) -> str:
    """Return a component's name with the options that differ from the defaults."""
    shared = {name: field.get_default() for name, field in type(component).model_fields.items()}
    own = {name: field.get_default() for name, field in registry(kind).get(component.name).options.model_fields.items()}
    values = {**component.options, **{name: getattr(component, name) for name in shared}}
    unlike = {n: v for n, v in values.items() if n not in ("name", "schedule") and v != {**own, **shared}.get(n)}
    return f"{component.name} ({spelled(unlike)[1:-1]})" if unlike else component.name


def _grid(protocol: Protocol) -> Iterator[str]:
    """Yield one line for each dim of the grid."""
    for name, labels in protocol.axis_labels.items():
        shown = ", ".join(spelled(label) for label in labels[:MOST])
        more = f", … {len(labels)} in all" if len(labels) > MOST else ""
        axis = protocol.axes.named.get(name)
        yield f"{name}: {shown}{more}" + (f"  ({axis.path})" if axis else "")
    if protocol.grid.places > len(protocol.cells):
        yield f"without {protocol.grid.places - len(protocol.cells)} combinations that are excluded"


def _probes(protocol: Protocol) -> Iterator[str]:
    for name, options in protocol.probes.asked.items():
        said = {key: value for key, value in options.items() if value is not None}
        yield f"{name} ({spelled(said)[1:-1]})" if said else name
    yield f"at epochs {', '.join(map(str, probed(protocol.cells[0].settings, protocol.training.epochs)))}"


def _claims(protocol: Protocol) -> Iterator[str]:
    """Yield each claim as a sentence, with the paper it comes from."""
    for claim in protocol.claims:
        entry = registry("claims").get(claim.name)
        options = entry.complete(options_of("claims", claim))
        sentence = stated(entry, options).rstrip(".")
        yield f"{sentence} [{options.get('source', entry.facts.source)}]"


def _cost(protocol: Protocol, given: str, comments: list[str]) -> Iterator[str]:
    runs = len(protocol.cells)
    epochs = sum(cell.settings.training.epochs for cell in protocol.cells)
    yield f"{runs:,} {'run' if runs == 1 else 'runs'}, {epochs:,} epochs in all"
    yield from [comment for comment in comments if TIME.search(comment)]
    yield f"elastic plan {quote(given)} measures it on this machine"


def comment_of(text: str) -> list[str]:
    r"""Return the leading comment of a protocol, one line per paragraph.

    >>> comment_of("# About a minute.\n#\n# What it found:\n# nothing.\nname: a\n")
    ['About a minute.', 'What it found: nothing.']
    """
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if SCHEMA_LINE not in line:
            lines.append(line.removeprefix("#").strip())
    return [part.replace("\n", " ") for part in "\n".join(lines).split("\n\n") if part.strip()]
