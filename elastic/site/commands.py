"""Page of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from elastic.site.entries import page_of
from elastic.site.markup import code, escaped, heading, table


@dataclass(frozen=True)
class Command:
    """Documentation of one command, from its ``--help``.

    Attributes
    ----------
    name, usage
        After the name of the program; the line of usage.
    help
        Paragraphs, divided by empty lines.
    options
        Spelling and meaning of each.
    """

    name: str
    usage: str
    help: str
    options: Sequence[tuple[str, str]]


def pages(commands: Sequence[Command]) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of the page."""
    opening = (
        "Values after ``--set`` are YAML. ``--json`` prints one JSON object on standard output; progress, logs and "
        "errors go to standard error. :doc:`/running` lists the exit codes."
    )
    listed = sorted(commands, key=lambda one: one.name)
    sections = [_summaries(listed), *(_section(command) for command in listed)]
    yield "reference/commands.rst", page_of("Command line", opening, sections, "command-line")


def _summaries(commands: Sequence[Command]) -> str:
    rows = (
        [f":ref:`elastic {one.name} <command-{one.name}>`", readable(one.help).split("\n\n")[0]] for one in commands
    )
    return table(rows, widths="34 66", kind="summaries")


def _section(command: Command) -> str:
    rows = [[f"``{spelling}``", readable(meaning)] for spelling, meaning in command.options]
    parts = [
        heading(f"elastic {command.name}", 1, f"command-{command.name}"),
        code([command.usage]),
        readable(command.help),
        table(rows, ("Option", "Meaning"), "40 60", "options"),
    ]
    return "\n\n".join(part for part in parts if part)


def readable(text: str) -> str:
    r"""Return text of the command line as markup: what stands in backticks is code, and so is an example.

    >>> readable("Print `nc1` of a\nSTUDY_NAME.")
    'Print ``nc1`` of a STUDY\\_NAME.'
    >>> readable("Example: elastic docs --build site")
    'Example: ``elastic docs --build site``'
    """
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.replace("\b", ""))]
    paragraphs = [re.sub("^Example: (.+)$", r"Example: `\1`", part) for part in paragraphs]
    coded = (re.split(r"`([^`]+)`", part) for part in paragraphs)
    return "\n\n".join("".join(f"``{p}``" if i % 2 else escaped(p) for i, p in enumerate(parts)) for parts in coded)
