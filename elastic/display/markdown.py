"""Texts of a study inside of Markdown: shown as they are, whatever characters they have."""

from __future__ import annotations

import re

from elastic.protocol.formatting import one_line

#: What means something to Markdown, to HTML in it or to the mathematics of notebooks, wherever it stands; an underscore
#: between letters is none of it.
_ANYWHERE = r"[\\`*\[\]<>&$!~|@{}]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=\bwww)\."

#: What does where a line begins with it, which a line of a paragraph may once it is broken: a list, a heading, a rule.
_AT_BEGINNING = r"(?<!\S)[-+=#]|(?<=\d)[.)](?!\S)"

#: What does where a heading ends with it.
_AT_END = r"#(?=#*$)"

_PARAGRAPH = re.compile(f"{_ANYWHERE}|{_AT_BEGINNING}|{_AT_END}", re.IGNORECASE)
_HEADING = re.compile(f"{_ANYWHERE}|{_AT_END}", re.IGNORECASE)

#: Entities that are known by name.
_NAMED = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def inert(text: object, *, heading: bool = False) -> str:
    r"""Return a text on one line, in which nothing is Markdown, HTML or mathematics.

    Characters become entities, not escapes by a backslash: notebooks look for mathematics before they read Markdown.

    Parameters
    ----------
    text
        Any text, or what is shown as its `str`.
    heading
        Whether it stands in a heading, which is not broken into lines.

    Examples
    --------
    >>> print(inert("Does <b>x</b> & y\n collapse?"))
    Does &lt;b&gt;x&lt;/b&gt; &amp; y collapse?
    >>> print(inert("[x](javascript:f()) of hidden_1 - 1. *a*"))
    &#91;x&#93;(javascript:f()) of hidden_1 &#45; 1&#46; &#42;a&#42;
    >>> print(inert("# 1 - 2 #", heading=True))
    # 1 - 2 &#35;
    """
    active = _HEADING if heading else _PARAGRAPH
    joined = " ".join(str(text).split())
    return active.sub(lambda found: _NAMED.get(found[0], f"&#{ord(found[0])};"), joined)


def code_span(text: object) -> str:
    """Return a text as code inside of Markdown, however many backticks it has.

    >>> print(code_span("a"), code_span("a`b"), code_span("`"))
    `a` `` a`b `` `` ` ``
    """
    shown = one_line(str(text))
    longest = max(map(len, re.findall("`+", shown)), default=0)
    fence, blank = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{blank}{shown}{blank}{fence}"
