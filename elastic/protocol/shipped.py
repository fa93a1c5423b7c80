"""The shipped protocols: files of the folder ``protocols`` of the repository, by name.

A wheel has them in ``elastic/_protocols``; an editable install reads those of the repository.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib.resources import files
from pathlib import Path

#: Folder of the protocols inside the installed package (see ``pyproject.toml``), and the one in the repository.
INSTALLED, SOURCE = "_protocols", "protocols"

#: Suffixes of protocol files; a word without one is the name of a shipped protocol.
SUFFIXES = (".yaml", ".yml")


#: The JSON Schema of protocol files, next to the shipped protocols (`elastic.protocol.file_schema`).
SCHEMA = "protocol.schema.json"


def schema_line() -> str:
    """Return the comment by which editors find the schema of this installation; "" if there is none."""
    schema = shipped_folder() / SCHEMA
    return f"# yaml-language-server: $schema={schema.resolve().as_uri()}\n" if schema.is_file() else ""


def shipped_folder() -> Path:
    """Return the folder of the protocols that ship."""
    package = Path(str(files("elastic")))
    installed = package / INSTALLED
    return installed if installed.is_dir() else package.parent / SOURCE


@cache
def shipped_protocols() -> dict[str, Path]:
    """Return the files of the shipped protocols by name, in alphabetical order.

    >>> shipped_protocols()["quickstart"].name
    'quickstart.yaml'
    """
    return {path.stem: path for path in sorted(shipped_folder().glob("*.yaml"))}


def likely_meant(text: str, folder: Path, fallback: str) -> str:
    """Suggest an existing file or a shipped protocol for an unknown path or name.

    >>> [likely_meant(text, Path("/nowhere"), "another path") for text in ("quickstrat", "protocols/losses.yaml")]
    ["'quickstart' (elastic list protocols)", "'losses' (elastic list protocols)"]
    """
    path, shipped = Path(text), shipped_protocols()
    stem = path.stem.lower().replace("-", "_")
    try:
        there = {file.stem: str(path.parent / file.name) for file in folder.iterdir() if file.suffix in SUFFIXES}
    except (OSError, ValueError):
        there = {}
    for known in ({stem: stem} if stem in shipped else {}, there, {name: name for name in shipped}):
        begun = [name for name in known if len(stem) > 2 and name.startswith(stem)]
        if close := difflib.get_close_matches(stem, list(known), n=1, cutoff=0.7) or begun:
            return repr(known[close[0]]) + ("" if known is there else " (elastic list protocols)")
    return f"{fallback} (elastic list protocols)"
