"""How to cite and to reproduce a study: references as text and BibTeX, commands to copy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import elastic
from elastic.report.context import Context

#: BibTeX entry of elastic, as in CITATION.cff.
SOFTWARE = """@software{{elastic,
  author  = {{{{The elastic developers}}}},
  title   = {{elastic: local elasticity and inner-layer neural collapse, layer by layer}},
  version = {{{version}}},
  year    = {{2026}}
}}"""

#: Fields of an entry that say where it appeared; the first one present counts.
PLACES = ("journal", "booktitle", "publisher", "institution", "school", "howpublished")

_ENTRY = re.compile(r"^@(\w+)\{\s*([^\s,]+)\s*,(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"(\w+)\s*=\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_ACCENTS = {'"o': "ö", '"u': "ü", '"a': "ä", "'a": "á", "'e": "é", "'i": "í", "'o": "ó", "`e": "è", "~n": "ñ"}


@dataclass(frozen=True)
class Reference:
    """One paper.

    Attributes
    ----------
    key
        Its cite key.
    short
        As text cites it: "He and Su 2023".
    text
        Authors, year, title, where.
    doi
        Without the address of the resolver; "" if there is none.
    bibtex
        The entry as it stands in ``references.bib``.
    """

    key: str
    short: str
    text: str
    doi: str
    bibtex: str


@cache
def references() -> Mapping[str, Reference]:
    """Return the entries of ``elastic/references.bib`` by key.

    >>> references()["he2020local"].short
    'He and Su 2020'
    """
    text = resources.files("elastic").joinpath("references.bib").read_text("utf-8")
    return {found[2]: _reference(found) for found in _ENTRY.finditer(text)}


def _reference(found: re.Match[str]) -> Reference:
    fields = {name.lower(): plain(value) for name, value in _FIELD.findall(found[3])}
    people = fields.get("author", "").split(" and ")
    family = [person.partition(",")[0] for person in people]
    year = fields.get("year", "")
    short = f"{family[0]} et al." if len(family) > 2 else " and ".join(family)
    where = next((fields[name] for name in PLACES if name in fields), "")
    place = " ".join(filter(None, (where, fields.get("volume", ""))))
    parts = (f"{'; '.join(people)} ({year})", fields.get("title", ""), place)
    text = " ".join(f"{part}." for part in parts if part)
    return Reference(found[2], f"{short} {year}", text, fields.get("doi", ""), found[0])


def plain(text: str) -> str:
    r"""Return a BibTeX value as plain text.

    >>> plain(r'Gy{\"o}rgy, Andr{\'a}s: {MSE} \& 1--2')
    'György, András: MSE & 1–2'
    """
    accented = re.sub(r"\{?\\([\"'`~])\{?(\w)\}?\}?", lambda m: _ACCENTS.get(m[1] + m[2], m[2]), text)
    return re.sub(r"\s+", " ", re.sub(r"[{}]", "", accented).replace("\\&", "&").replace("--", "–")).strip()


def cited(context: Context) -> list[Reference]:
    """Return the papers that the page cites, in the order of the bibliography; unknown keys are left out.

    They are those of the study, of its claims, and of the variables of its cube.
    """
    variables = (values for group in context.cube.children.values() for values in group.dataset.values())
    keys = {str(values.attrs["source"]) for values in variables if "source" in values.attrs}
    keys |= set(context.protocol.get("cites") or ()) | {verdict.source for verdict in context.verdicts}
    return [reference for key, reference in references().items() if key in keys]


def software() -> str:
    """Return the BibTeX entry of elastic, of the version that writes the report."""
    return SOFTWARE.format(version=elastic.__version__)


def commands(context: Context) -> str:
    """Return the commands that reproduce the study, its verdicts and this page from ``protocol.yaml``.

    Of a recorded study they are those that read its folder: only its training loop can record it again.
    """
    folder = shlex.quote(context.place)
    if context.recorded:
        return f"elastic check {folder}\nelastic report {folder}"
    allow = "".join(f" --allow {shlex.quote(module)}" for module in sorted(modules(context.protocol)))
    lines = [f"elastic run protocol.yaml{allow}", f"elastic check {folder}", f"elastic report {folder}"]
    return "\n".join(lines)


def installation(context: Context) -> str:
    """Return the command that installs the versions the study was made with."""
    versions: Mapping[str, str] = context.provenance.get("versions") or {}
    wanted = [f"{name}=={version.partition('+')[0]}" for name, version in versions.items() if version]
    return "python -m pip install " + " ".join(map(shlex.quote, wanted)) if wanted else ""


def modules(value: Any) -> set[str]:
    """Return the modules of a protocol's code given by import path, which ``elastic run`` has to be allowed.

    >>> modules({"model": {"name": "external", "target": "nets.wide:Net"}})
    {'nets.wide'}
    """
    if isinstance(value, Mapping):
        external = value.get("name") == "external" and "target" in value
        own = {str(value["target"]).partition(":")[0]} if external else set()
        return own.union(*(modules(part) for part in value.values()))
    return set().union(*(modules(part) for part in value)) if isinstance(value, list) else set()
