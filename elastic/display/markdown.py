"""Escaping for Markdown: shows any text literally."""

from __future__ import annotations

import re

from elastic.protocol.formatting import one_line

#: Characters with a meaning in Markdown, in HTML or in the mathematics of notebooks, except an underscore between
#: letters.
_ANYWHERE = r"[\\`*\[\]<>&$!~|@{}]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=\bwww)\."

#: Characters with a meaning at the start of a line (lists, headings, rules), where wrapping may put them.
_AT_BEGINNING = r"(?<!\S)[-+=#]|(?<=\d)[.)](?!\S)"

#: Characters with a meaning at the end of a heading.
_AT_END = r"#(?=#*$)"

_PARAGRAPH = re.compile(f"{_ANYWHERE}|{_AT_BEGINNING}|{_AT_END}", re.IGNORECASE)
_HEADING = re.compile(f"{_ANYWHERE}|{_AT_END}", re.IGNORECASE)

#: Named entities.
_NAMED = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def inert(text: object, *, heading: bool = False) -> str:
    r"""Escape a text for one line of Markdown, so that no part is read as Markdown, HTML or mathematics.

    Uses entities, not backslashes: notebooks search for mathematics before they parse Markdown.

    Parameters
    ----------
    text
        Any object; its `str` is shown.
    heading
        Whether it is part of a heading, which is not wrapped.

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
    """Format a text as a Markdown code span; it may contain backticks.

    >>> print(code_span("a"), code_span("a`b"), code_span("`"))
    `a` `` a`b `` `` ` ``
    """
    shown = one_line(str(text))
    longest = max(map(len, re.findall("`+", shown)), default=0)
    fence, blank = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{blank}{shown}{blank}{fence}"
