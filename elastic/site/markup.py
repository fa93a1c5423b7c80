"""Marks of reStructuredText: escaped text, headings, tables, and docstrings as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from elastic.display.formulas import ABOVE, BELOW, INDEX_IN_TEXT, NAME, PLAIN, pieces, with_minus, with_spaced_minus
from elastic.protocol.references import references

#: Characters that underline headings, from the title of a page down.
LEVELS = "=-~^"

#: A heading of a section of a docstring, underlined.
_SECTION = re.compile(r"^\w[\w ]*\n-{3,}$", re.MULTILINE)

#: Code in one or two backticks and mathematics between dollars, which keep what they hold; and cite keys.
_MARKED = re.compile(r"``(.+?)``|`([^`]+)`|\$([^$]+)\$|(\(?)\b([a-z]+(?:19|20)\d\d[a-z]+)\b", re.DOTALL)

#: Characters that mean something in running text.
_SPECIAL = re.compile(r"([\\*`|_])")


def escaped(text: str) -> str:
    r"""Return plain text such that none of its characters is a mark.

    >>> print(escaped("|cos| of x_* and y_"))
    \|cos\| of x\_\* and y\_
    """
    return _SPECIAL.sub(r"\\\1", text)


def heading(title: str, level: int = 0, label: str = "") -> str:
    r"""Return a heading, with a label that other pages refer to.

    >>> print(heading("nc1", 1, "metric-nc1"))
    .. _metric-nc1:
    <BLANKLINE>
    nc1
    ---
    """
    target = f".. _{label}:\n\n" if label else ""
    return f"{target}{escaped(title)}\n{LEVELS[level] * max(len(escaped(title)), 3)}"


def indented(text: str, by: int = 3) -> str:
    """Return a text with blanks before each line that is not empty."""
    return "\n".join(" " * by + line if line.strip() else "" for line in text.splitlines())


def code(lines: Iterable[str], language: str = "text") -> str:
    """Return a block of code."""
    return f".. code-block:: {language}\n\n{indented(chr(10).join(lines))}"


def table(rows: Iterable[Sequence[str]], header: Sequence[str] = (), widths: str = "auto", kind: str = "") -> str:
    """Return a table of cells that are markup already; "" where there is no row.

    Parameters
    ----------
    rows
        Cells of each row.
    header
        Of the columns; without one the first column names the rows.
    widths
        As ``list-table`` takes them.
    kind
        A class for the style sheet.
    """
    body = [list(row) for row in rows]
    if not body:
        return ""
    options = [f"   :widths: {widths}", "   :header-rows: 1" if header else "   :stub-columns: 1"]
    options += [f"   :class: {kind}"] if kind else []
    lines = [".. list-table::", *options, ""]
    for row in ([list(header)] if header else []) + body:
        for place, cell in enumerate(row):
            inside = indented(cell, 7).strip() or r"\ "
            lines.append(f"   {'*' if place == 0 else ' '} - {inside}")
    return "\n".join(lines)


def running(text: str) -> str:
    r"""Return text of a docstring: code and mathematics are kept, all else is plain, with indices below the line.

    >>> running("A $b\n+ c$.")
    'A :math:`b + c`.'
    >>> running("Pairs of `nc1` and ``v_k``: $v_k$, x_, v_k.")
    'Pairs of `nc1` and ``v_k``: :math:`v_k`, x\\_, v\\ :sub:`k`\\ .'
    """
    parts, end = [], 0
    for match in _MARKED.finditer(text):
        parts.append(_plain_before(text[end : match.start()]))
        parts.append(_kept(match))
        end = match.end()
    return "".join([*parts, _in_text(text[end:])])


def _plain_before(text: str) -> str:
    """Return plain text before a mark, which needs a break where a letter touches it."""
    return _in_text(text) + ("\\ " if text and text[-1].isalnum() else "")


def _kept(match: re.Match[str]) -> str:
    literal, name, mathematics, bracket, key = match.groups()
    if key is not None:
        return bracket + paper(key, as_key=bool(bracket))
    if mathematics is not None:
        return f":math:`{' '.join(mathematics.split())}`"  # a formula may be broken into lines
    return f"``{literal}``" if literal is not None else f"`{name}`"


def paper(key: str, *, as_key: bool = False) -> str:
    """Return a link to a paper as text cites it, or as its cite key; the key itself where there is no such paper.

    >>> paper("he2020local"), paper("nobody2020nothing")
    (':ref:`He and Su 2020 <paper-he2020local>`', 'nobody2020nothing')
    """
    known = references().get(key)
    return f":ref:`{key if as_key else known.short} <paper-{key.lower()}>`" if known else escaped(key)


def prose(docstring: str, *, examples: bool = True) -> str:
    r"""Return the text of a docstring before its first section.

    A paragraph that is indented is a formula, which keeps its lines; examples stay as they are.

    >>> print(prose("Hinge.\n\n    max |0, 1 - z|\n\nSee `mse`, |z|.\n\nParameters\n----------\nx\n    Data."))
    Hinge.
    <BLANKLINE>
    .. code-block:: none
       :class: formula
    <BLANKLINE>
       max |0, 1 - z|
    <BLANKLINE>
    See `mse`, \|z\|.
    """
    before = _SECTION.split(docstring.strip(), maxsplit=1)[0]
    paragraphs = (paragraph(part) for part in re.split(r"\n[^\S\n]*\n", before.strip("\n")) if part.strip())
    return "\n\n".join(part for part in paragraphs if examples or not part.startswith(">>>")).strip()


def examples(docstring: str) -> str:
    """Return the examples of a docstring that stand before its first section."""
    return "\n\n".join(part for part in prose(docstring).split("\n\n") if part.startswith(">>>"))


def paragraph(text: str) -> str:
    """Return one paragraph of a docstring: an example, a formula, a list, or running text."""
    first = text.lstrip("\n")
    if first.lstrip().startswith(">>>"):
        return first
    if first.startswith("    "):
        lines = first.splitlines()
        margin = min(len(line) - len(line.lstrip()) for line in lines)
        return ".. code-block:: none\n   :class: formula\n\n" + indented("\n".join(line[margin:] for line in lines))
    return running(first)


def formula(text: str, names: Iterable[str] = ()) -> str:
    r"""Return a formula of plain text with what stands below and above the line set so.

    Parameters
    ----------
    text
        As "tr(Σ_W Σ_B⁺)/K".
    names
        Registered metrics, which are linked where the formula has them.

    Examples
    --------
    >>> print(formula("mean_{j≠k} V_jk - 1 / nc1", ["nc1"]))
    mean\ :sub:`j≠k`\  V\ :sub:`jk`\  − 1 / :ref:`nc1 <metric-nc1>`
    """
    return _marked_up((kind, piece if kind == NAME else with_minus(piece)) for kind, piece in pieces(text, set(names)))


def _in_text(text: str) -> str:
    """Return running text with indices set so; a hyphen between blanks is a minus sign."""
    return _marked_up(pieces(with_spaced_minus(text), marks=INDEX_IN_TEXT))


def _marked_up(parts: Iterable[tuple[str, str]]) -> str:
    marked = {NAME: ":ref:`{0} <metric-{0}>`", BELOW: "\\ :sub:`{}`\\ ", ABOVE: "\\ :sup:`{}`\\ ", PLAIN: "{}"}
    return "".join(marked[kind].format(piece if kind == NAME else escaped(piece)) for kind, piece in parts)
