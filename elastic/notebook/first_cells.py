"""The first cells of a study's notebook: its question, imports, and opening the study."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from elastic.display.markdown import code_span, inert
from elastic.display.recorded import SOURCE, study_title
from elastic.notebook.literals import literal
from elastic.study import Study

#: Most characters per line of text, so that a source file stays readable.
WIDTH = 110

#: Imports that cells may need, and the pattern in a cell that needs them: other packages, then elastic.
LIBRARIES = {
    "import numpy as np": r"\bnp\.",
    "import pandas as pd": r"\bpd\.",
    "from IPython.display import Markdown": r"\bMarkdown\(",
}
OWN = {
    "import elastic": "",
    "from elastic.display import conclusion": r"\bconclusion\(",
}


@dataclass(frozen=True)
class Cell:
    """One cell: "markdown" or "code", and its text."""

    kind: str
    text: str


def markdown(*paragraphs: str) -> Cell:
    """Return a Markdown cell with lines of at most `WIDTH` characters."""
    return Cell("markdown", "\n\n".join(textwrap.fill(text, WIDTH, break_long_words=False) for text in paragraphs))


def code(*lines: str) -> Cell:
    """Return a code cell."""
    return Cell("code", "\n".join(lines))


def question(study: Study) -> Cell:
    """Return the cell with the study's question."""
    protocol = study.facts["protocol"]
    parts = [inert(protocol["question"])] if protocol.get("question") else []
    cited = [code_span(key) for key in protocol.get("cites") or ()]
    parts += [f"After {', '.join(cited)} (`elastic/references.bib`)."] if cited else []
    source = f" {SOURCE}." if study.recorded else ""
    parts.append(
        f"Study {code_span(study.name)}, read from its cube: every number and every sentence below is computed from it."
        f"{source} Written by `elastic notebook`; yours to change."
    )
    # Headings are not wrapped.
    return Cell("markdown", f"# {inert(study_title(protocol), heading=True)}\n\n{markdown(*parts).text}")


def opening(place: str, others: Sequence[Cell]) -> Cell:
    """Return the first code cell: imports for the other cells, and opening the study.

    Parameters
    ----------
    place
        Path of the study's folder from the notebook.
    others
        The other cells.
    """
    text = "\n".join(cell.text for cell in others if cell.kind == "code")
    groups = [[line for line, use in group.items() if re.search(use, text)] for group in (LIBRARIES, OWN)]
    imports = [*groups[0], "", *groups[1], ""] if groups[0] else [*groups[1], ""]
    return code(*imports, f"study = elastic.open_study({literal(place)})", "study")
