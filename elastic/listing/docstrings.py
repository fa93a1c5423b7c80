"""What a docstring says to users: its text without developers' sections, and the meaning of each option."""

from __future__ import annotations

import re

#: A heading of a section, underlined, and a parameter's line in one.
_HEADING = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)


def prose_of(docstring: str) -> str:
    r"""Return the text before the first section and without examples, its marks of code taken away.

    >>> prose_of("Hinge loss.\n\nSee ``mse``.\n\n>>> 1\n1\n\nParameters\n----------\nx\n    Data.")
    'Hinge loss.\n\nSee mse.'
    """
    before = _HEADING.split(docstring, maxsplit=1)[0]
    paragraphs = re.split(r"\n\s*\n", before.strip())
    told = [re.sub(r"\s*\n\s*", " ", part.strip()) for part in paragraphs if not part.lstrip().startswith(">>>")]
    return without_marks("\n\n".join(told))


def meanings_in(docstring: str) -> dict[str, str]:
    r"""Return what the section "Parameters" says of each parameter, in one line.

    >>> meanings_in("A.\n\nParameters\n----------\na, b\n    Both.\nc\n    Of\n    two lines.\n\nReturns\n-------\nint")
    {'a': 'Both.', 'b': 'Both.', 'c': 'Of two lines.'}
    """
    parts = _HEADING.split(docstring)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    found: dict[str, str] = {}
    names: list[str] = []
    for line in sections.get("Parameters", "").splitlines():
        if line.strip() and not line.startswith(" "):
            names = [name.strip() for name in line.partition(":")[0].split(",")]
        else:
            for name in names:
                found[name] = f"{found.get(name, '')} {line.strip()}".strip()
    return {name: without_marks(text) for name, text in found.items()}


def without_marks(text: str) -> str:
    """Return a text without the marks of code and of mathematics.

    >>> without_marks("the ``batch``, see `Task`, $v$")
    'the batch, see Task, v'
    """
    return re.sub(r"\$([^$]+)\$", r"\1", re.sub(r"`+([^`]*)`+", r"\1", text))
