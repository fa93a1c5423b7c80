"""Citing and reproducing a study: references as text and BibTeX, commands to copy."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from elastic._version import AUTHORS, RELEASED, TITLE, __version__
from elastic.protocol.references import Reference, references
from elastic.report.context import Context

#: BibTeX entry of elastic.
SOFTWARE = """@software{{elastic,
  author  = {{{authors}}},
  title   = {{{title}}},
  version = {{{version}}},
  year    = {{{year}}}
}}"""


def cited(context: Context) -> list[Reference]:
    """Return the papers cited by the study, its claims and its variables, in the order of the bibliography.

    Unknown keys are left out.
    """
    variables = (values for group in context.cube.children.values() for values in group.dataset.values())
    keys = {str(values.attrs["source"]) for values in variables if "source" in values.attrs}
    keys |= set(context.protocol.get("cites") or ()) | {verdict.source for verdict in context.verdicts}
    return [reference for key, reference in references().items() if key in keys]


def software() -> str:
    """Return the BibTeX entry of the running version of elastic."""
    authors = " and ".join(f"{{{author}}}" for author in AUTHORS)  # braces: a group is no first and last name
    return SOFTWARE.format(authors=authors, title=TITLE, version=__version__, year=RELEASED[:4])


def commands(context: Context) -> str:
    """Return the commands that reproduce the study, its verdicts and this page from ``protocol.yaml``.

    For a recorded study they read its folder: only its training loop can record it again.
    """
    folder = shlex.quote(context.place)
    if context.recorded:
        return f"elastic check {folder}\nelastic report {folder}"
    allow = "".join(f" --allow {shlex.quote(module)}" for module in sorted(modules(context.protocol)))
    lines = [f"elastic run protocol.yaml{allow}", f"elastic check {folder}", f"elastic report {folder}"]
    return "\n".join(lines)


def installation(context: Context) -> str:
    """Return the command that installs the package versions of the study."""
    versions: Mapping[str, str] = context.provenance.get("versions") or {}
    wanted = [f"{name}=={version.partition('+')[0]}" for name, version in versions.items() if version]
    return "python -m pip install " + " ".join(map(shlex.quote, wanted)) if wanted else ""


def modules(value: Any) -> set[str]:
    """Return the modules of code given by import path, which ``elastic run --allow`` must list.

    >>> modules({"model": {"name": "external", "target": "nets.wide:Net"}})
    {'nets.wide'}
    """
    if isinstance(value, Mapping):
        external = value.get("name") == "external" and "target" in value
        own = {str(value["target"]).partition(":")[0]} if external else set()
        return own.union(*(modules(part) for part in value.values()))
    return set().union(*(modules(part) for part in value)) if isinstance(value, list) else set()
