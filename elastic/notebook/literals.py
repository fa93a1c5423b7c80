"""Values of a study as Python literals for notebook cells."""

from __future__ import annotations

import json
import keyword as python
import re
from typing import Any

from elastic.notebook.contents import Holdings

_UNWRITABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def literal(value: Any) -> str:
    r"""Return a label, a path or a mapping as a Python literal with double-quoted strings.

    >>> print(literal({"weight_decay": 0.0005, "widths": 'the "wide"', "epoch": -1}))
    {"weight_decay": 0.0005, "widths": "the \"wide\"", "epoch": -1}
    >>> literal((1, True))
    '(1, True)'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(key)}: {literal(part)}" for key, part in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(literal, value)) + ")"
    if not isinstance(value, str):
        return repr(value)
    # Escape line breaks that only some programs recognize, and lone surrogates, which UTF-8 cannot encode.
    return _UNWRITABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def keyword(name: str, value: Any) -> str:
    """Return a keyword argument, also for names that are not valid identifiers.

    >>> keyword("lr", (0.2, 0.1)), keyword("weight-decay", 0.0)
    ('lr=(0.2, 0.1)', '**{"weight-decay": 0.0}')
    """
    plain = name.isidentifier() and not python.iskeyword(name)
    return f"{name}={literal(value)}" if plain else f"**{literal({name: value})}"


def choice(held: Holdings, *, split: bool = True, epoch: float | None = None) -> str:
    """Return the arguments that select the values of a cell: split, setting of the axes, epoch.

    Parameters
    ----------
    held
        The cell ``where`` of the notebook holds the setting, if there are axes.
    split
        Whether the variable has a split to select; the default "train" is left out.
    epoch
        The selected epoch.
    """
    chosen = [f"split={literal(held.split)}"] if split and held.split != "train" else []
    if epoch is not None:
        chosen.append(f'where={{**where, "epoch": {epoch!r}}}' if held.axes else f'where={{"epoch": {epoch!r}}}')
    elif held.axes:
        chosen.append("where=where")
    return ", ".join(chosen)
