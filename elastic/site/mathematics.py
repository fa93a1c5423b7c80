"""Formulas as MathML, which browsers draw without a script and without a font from elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

#: Name of the renderer (`html_math_renderer`).
NAME = "mathml"

#: The bar of a norm, which would stretch to the height of an index that stands beside it.
NORM = "&#x02016;"

#: A bold digit, whose variant browsers ignore.
BOLD = re.compile(r'<mn mathvariant="bold">(\d)</mn>')

#: A letter, number or sign of a formula.
LEAF = re.compile(r"<m[ino]\b")

#: More of them may be wider than a narrow page, and are marked so that they scroll there: a line breaks in no formula.
WIDE = 24


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer with Sphinx."""
    app.add_html_math_renderer(NAME, (inline, None), (displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def mathml(latex: str, *, displayed: bool) -> str:
    r"""Return LaTeX as MathML.

    >>> mathml(r"\alpha", displayed=False)
    '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><mi>&#x003B1;</mi></mrow></math>'
    """
    from latex2mathml.converter import convert

    written = str(convert(latex, display="block" if displayed else "inline"))
    written = BOLD.sub(lambda digit: f"<mn>{chr(ord('𝟎') + int(digit[1]))}</mn>", written)
    return written.replace(f"<mo>{NORM}</mo>", f'<mo stretchy="false">{NORM}</mo>')


def inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula inside a line."""
    from docutils.nodes import SkipNode

    formula = mathml(node.astext(), displayed=False)
    self.body.append(f'<span class="math-wide">{formula}</span>' if len(LEAF.findall(formula)) > WIDE else formula)
    raise SkipNode


def displayed(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on lines of its own."""
    from docutils.nodes import SkipNode

    self.body.append(f'<div class="math-block">{mathml(node.astext(), displayed=True)}</div>\n')
    raise SkipNode
