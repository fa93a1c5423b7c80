"""Docstrings as Sphinx reads them: what they write plainly is escaped before numpydoc sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from elastic.site.markup import prose, running

if TYPE_CHECKING:
    from sphinx.application import Sphinx

#: Before numpydoc, which is connected at 500.
EARLY = 400

#: Types as Sphinx writes them, and as authors do: an alias in a union, and an array of NumPy.
TYPES = (
    (re.compile(r"TypeAliasForwardRef\('([\w.]+)'\)"), r"\1"),
    (
        re.compile(r"[~\w.]*ndarray\[[~\w.]*tuple\[[~\w.]*Any, \.\.\.\], [~\w.]*dtype\[[~\w.]*?(\w+)\]\]"),
        r"NDArray[\1]",
    ),
)

_HEADING = re.compile(r"^(\w[\w ]*)\n(-{3,})$", re.MULTILINE)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the reading of docstrings and signatures."""
    app.connect("autodoc-process-docstring", process, priority=EARLY)
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True}


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Replace the lines of a docstring, as the event of autodoc asks."""
    if name.startswith("elastic.") and lines:
        lines[:] = readable("\n".join(lines)).splitlines()


def signature(app: Any, what: str, name: str, obj: Any, options: Any, *written: str | None) -> list[str | None]:
    """Return a signature and its return annotation with short types, as the event of autodoc asks."""
    return [None if text is None else short_types(text) for text in written]


def short_types(text: str) -> str:
    """Return a signature in which types have the names that authors use.

    >>> short_types("(a: TypeAliasForwardRef('Output') | None)")
    '(a: Output | None)'
    >>> short_types("~numpy.ndarray[tuple[~typing.Any, ...], ~numpy.dtype[~numpy.float64]]")
    'NDArray[float64]'
    """
    for written, short in TYPES:
        text = written.sub(short, text)
    return text


def readable(docstring: str) -> str:
    r"""Return a docstring whose running text has no marks by accident.

    >>> readable("Sum of |x|.\n\nParameters\n----------\nx\n    In |1| or $z$.").splitlines()
    ['Sum of \\|x\\|.', '', 'Parameters', '----------', 'x', '    In \\|1\\| or :math:`z`.']
    """
    first, *rest = _HEADING.split(docstring.strip("\n"))
    parts = [prose(first)]
    for title, line, text in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        parts.append("\n".join([title, line, *_section(title, text.strip("\n"))]))
    return "\n\n".join(parts)


def _section(title: str, text: str) -> Iterator[str]:
    """Yield the lines of a section: descriptions as running text; names, types and examples as they are."""
    if title in ("Notes", "References", "Warnings", "Warns"):
        yield prose(text)
    elif title in ("Examples", "See Also"):
        yield text if title != "Examples" else _examples(text)
    else:
        for block in re.split(r"(?m)^(?=\S)", text):
            if block:
                name, _, described = block.partition("\n")
                yield name
                if described.strip():
                    yield running(described).rstrip()


def _examples(text: str) -> str:
    blocks = re.split(r"\n[^\S\n]*\n", text)
    return "\n\n".join(block if block.lstrip().startswith(">>>") else running(block) for block in blocks)
