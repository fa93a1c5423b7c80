"""The text of a docstring for users: without sections, examples and markup."""

from __future__ import annotations

import re

#: A heading of a section, underlined.
_HEADING = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)


def prose_of(docstring: str) -> str:
    r"""Return the text before the first section, without examples and markup.

    >>> prose_of("Hinge loss.\n\nSee ``mse``.\n\n>>> 1\n1\n\nParameters\n----------\nx\n    Data.")
    'Hinge loss.\n\nSee mse.'
    """
    before = _HEADING.split(docstring, maxsplit=1)[0]
    paragraphs = re.split(r"\n\s*\n", before.strip())
    texts = [re.sub(r"\s*\n\s*", " ", part.strip()) for part in paragraphs if not part.lstrip().startswith(">>>")]
    return without_marks("\n\n".join(texts))


def without_marks(text: str) -> str:
    """Remove the markup of code and mathematics from a text.

    >>> without_marks("the ``batch``, see `Task`, $v$")
    'the batch, see Task, v'
    """
    return re.sub(r"\$([^$]+)\$", r"\1", re.sub(r"`+([^`]*)`+", r"\1", text))
