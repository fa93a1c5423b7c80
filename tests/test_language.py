"""The language of help, messages, docstrings and comments: plain technical English without metaphors of the project."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

import elastic
from elastic.cli import cli

SOURCE = Path(elastic.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))

#: Patterns of words that texts avoid, and what to write instead.
AVOIDED = {
    "told|tells?|telling": "functions return, messages report, options define, keys show",
    "strangers?": "anyone, another user",
    "twins?": "a reference implementation",
    "the wall": "the packages that work without torch, or those that need it",
    "its room|rooms of": "a package",
    "where it stood": "resumes",
    "hands? over|handed|hands? on": "passes",
    "whoever": "the caller, the owner, the process",
    "of one's own": "external, the user's",
    "stumbles?": "fails",
}
PATTERN = re.compile("|".join(rf"\b(?:{words})\b" for words in AVOIDED), re.IGNORECASE)

#: First words of a command's help: verbs in the imperative.
VERBS = {
    "Answer",
    "Check",
    "Compare",
    "Describe",
    "Draw",
    "Estimate",
    "Export",
    "List",
    "Measure",
    "Open",
    "Plan",
    "Print",
    "Publish",
    "Record",
    "Reproduce",
    "Run",
    "Show",
    "Verify",
    "Watch",
    "Write",
}


def package(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@cache
def texts(path: Path) -> list[tuple[int, str]]:
    """Return the lines of the strings and comments of a module, except doctests and names of parameters."""
    return list(read_texts(path.read_text(encoding="utf-8")))


def read_texts(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for i, line in enumerate(node.value.splitlines()):
                if not line.lstrip().startswith(">>>") and not re.fullmatch(r"\s*\w+(, \w+)*", line):
                    yield node.lineno + i, line
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


@pytest.mark.parametrize("name", sorted({package(path) for path in MODULES}))
def test_texts_are_in_plain_english(name):
    collected = [
        f"{path.relative_to(SOURCE)}:{line}: {text.strip()}"
        for path in MODULES
        if package(path) == name
        for line, text in texts(path)
        if PATTERN.search(text)
    ]
    assert not collected, "\n".join([*collected, *(f"{words}: write {instead}" for words, instead in AVOIDED.items())])


def test_texts_are_read_whole():
    lines = [text for path in MODULES for _, text in texts(path)]
    assert len(lines) > 10_000
    assert PATTERN.search("what it tells") is not None


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_help_of_a_command_begins_with_a_verb(name):
    command = cli.commands[name]
    text = command.get_help(click.Context(command, info_name=name))
    first = (command.help or "").split()[0]
    assert first in VERBS, f"elastic {name} --help begins with {first!r}"
    assert PATTERN.search(text) is None, text


def test_the_help_of_the_program_begins_with_a_verb():
    assert (cli.help or "").split()[0] in VERBS
