"""Descriptions of parameters, read from the section ``Parameters`` of numpydoc docstrings."""

from __future__ import annotations

import inspect
import re

#: The section's heading and its underline, and what follows up to the next heading.
_SECTION = re.compile(r"^Parameters\n-{3,}\n(.*?)(?=\n\n\S[^\n]*\n-{3,}|\Z)", re.DOTALL | re.MULTILINE)


def parameter_descriptions(docstring: str) -> dict[str, str]:
    r"""Return the description of each parameter that a docstring documents, as one line of plain text.

    Names that share an entry (``e_h, e_w``) share its description. Literals are written with single backticks.

    Parameters
    ----------
    docstring
        In the style of numpydoc, indented or not.

    Examples
    --------
    >>> text = "Square.\n\nParameters\n----------\nwidth, height : float\n    Of the ``box``,\n    in metres.\n"
    >>> parameter_descriptions(text)
    {'width': 'Of the `box`, in metres.', 'height': 'Of the `box`, in metres.'}
    """
    section = _SECTION.search(inspect.cleandoc(docstring))
    described: dict[str, list[str]] = {}
    names: list[str] = []
    for line in section.group(1).splitlines() if section else ():
        if line and not line[0].isspace():
            names = [name.strip().lstrip("*") for name in line.partition(" :")[0].split(",")]
            described |= {name: [] for name in names}
        elif line.strip():
            for name in names:
                described[name].append(line.strip())
    return {name: " ".join(lines).replace("``", "`") for name, lines in described.items() if lines}
