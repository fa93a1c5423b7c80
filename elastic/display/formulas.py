r"""Formulas of plain text, as attributes of variables have them: names of variables, and what stands below and above.

"tr(Σ_W Σ_B⁺)/K" has the indices W and B; the name in "response / self_response" has none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from html import escape

from elastic.display.numbers import MINUS

#: Raised letters end what stands below a symbol: σ_1² is the square of σ_1.
_LETTERS = r"(?:(?![²³¹⁰-⁹ᵀ])[^\W_])"

#: What stands below or above the line after anything; the mark and the index are groups.
INDEX = re.compile(rf"([_^])(\{{[^{{}}]*\}}|{_LETTERS}+|[*⊥∞])")

#: The same in running text: after one letter or a norm.
INDEX_IN_TEXT = re.compile(rf"(?:(?<=\b[^\W\d_])|(?<=‖))([_^])(\{{[^{{}}]*\}}|{_LETTERS}{{1,3}}(?!{_LETTERS}|_)|[*⊥∞])")

#: A word that may be the name of a variable.
_WORD = re.compile(r"(\b[A-Za-z]\w{2,}\b)")

#: Kinds of pieces of a formula.
PLAIN, NAME, BELOW, ABOVE = "plain", "name", "sub", "sup"


def pieces(text: str, names: Collection[str] = (), marks: re.Pattern[str] = INDEX) -> Iterator[tuple[str, str]]:
    """Yield the pieces of a formula with their kinds, in order.

    Parameters
    ----------
    text
        The formula.
    names
        Names of variables, which have no indices.
    marks
        Matches an index.

    Examples
    --------
    >>> list(pieces("nc1_b / σ_1²", ["nc1_b"]))
    [('name', 'nc1_b'), ('plain', ' / σ'), ('sub', '1'), ('plain', '²')]
    """
    unnamed = ""
    for word in _WORD.split(text) if names else [text]:
        if word in names:
            yield from _indexed(unnamed, marks)
            yield NAME, word
            unnamed = ""
        else:
            unnamed += word  # what stands below a symbol stays beside it
    yield from _indexed(unnamed, marks)


def _indexed(text: str, marks: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    end = 0
    for match in marks.finditer(text):
        if match.start() > end:
            yield PLAIN, text[end : match.start()]
        yield BELOW if match[1] == "_" else ABOVE, match[2].strip("{}")
        end = match.end()
    if end < len(text):
        yield PLAIN, text[end:]


def formula_html(text: str, names: Collection[str] = ()) -> str:
    """Return a formula as HTML, with indices below and above the line and minus signs; all else is escaped.

    >>> formula_html("mean_{j≠k} V_jk - 1 < nc1_b", ["nc1_b"])
    'mean<sub>j≠k</sub> V<sub>jk</sub> − 1 &lt; <code>nc1_b</code>'
    """
    signed = ((kind, piece if kind == NAME else with_minus(piece)) for kind, piece in pieces(text, names))
    return _html(signed)


def text_html(text: str) -> str:
    """Return running text as HTML, with the indices of its formulas; a hyphen between blanks is a minus sign.

    >>> text_html("Within-class <μ_k - μ_G> of nc1_b")
    'Within-class &lt;μ<sub>k</sub> − μ<sub>G</sub>&gt; of nc1_b'
    """
    return _html(pieces(with_spaced_minus(text), marks=INDEX_IN_TEXT))


def _html(parts: Iterable[tuple[str, str]]) -> str:
    tags = {PLAIN: "{}", NAME: "<code>{}</code>", BELOW: "<sub>{}</sub>", ABOVE: "<sup>{}</sup>"}
    return "".join(tags[kind].format(escape(piece)) for kind, piece in parts)


def with_spaced_minus(text: str) -> str:
    """Replace hyphens between blanks by minus signs."""
    return re.sub(r"(?<=\S) - (?=\S)", f" {MINUS} ", text)


def with_minus(text: str) -> str:
    """Replace hyphens by minus signs, except those between letters of words.

    >>> with_minus("k-means of (I-11ᵀ/K), 1 - x, super-classes")
    'k-means of (I−11ᵀ/K), 1 − x, super-classes'
    """
    return re.sub(r"-(?![A-Za-z]{2,})|(?<![A-Za-z])-", MINUS, text)
