"""The outputs of an executed notebook without parts that vary between executions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Random identifiers that xarray and pandas put into HTML, and addresses of objects in memory.
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_STYLED = re.compile(r"\bT_[0-9a-f]{5}\b")
_ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,16}\b")


def settle_notebook(path: Path) -> None:
    """Rewrite a notebook so that two executions of the same cells have the same bytes.

    Times in metadata are removed, and streams to standard error, since warnings of libraries contain paths of the
    machine. Random identifiers are numbered in order of appearance.
    """
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        cell.get("metadata", {}).pop("execution", None)
        if "outputs" in cell:
            cell["outputs"] = [one for one in cell["outputs"] if one.get("name") != "stderr"]
    text = json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    text = _ADDRESS.sub("at 0x0", _numbered(text, _STYLED, "T_{:05x}"))
    text = _numbered(text, _UUID, "00000000-0000-4000-8000-{:012x}")
    path.write_text(text, encoding="utf-8")


def _numbered(text: str, pattern: re.Pattern[str], name: str) -> str:
    """Replace each different match of a pattern by its number.

    >>> _numbered("T_abcde T_fffff T_abcde", _STYLED, "T_{:05x}")
    'T_00000 T_00001 T_00000'
    """
    known: dict[str, str] = {}
    return pattern.sub(lambda match: known.setdefault(match[0], name.format(len(known))), text)


def texts_of(notebook: dict[str, Any]) -> Iterator[str]:
    """Yield the source and every output of a notebook as text."""
    for cell in notebook["cells"]:
        yield json.dumps(cell)
