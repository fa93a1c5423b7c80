"""The papers that protocols, claims and metrics cite: the entries of ``elastic/references.bib``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

#: Fields of an entry with the place of publication; the first present one is used.
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
        Cite key.
    short
        Short citation: "He and Su 2023".
    text
        Authors, year, title, place of publication.
    doi
        DOI without the resolver's address, or "".
    bibtex
        The entry in ``references.bib``.
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
    >>> references()["dosovitskiy2021image"].short  # and others
    'Dosovitskiy et al. 2021'
    """
    text = resources.files("elastic").joinpath("references.bib").read_text("utf-8")
    return {match[2]: _reference(match) for match in _ENTRY.finditer(text)}


def _reference(match: re.Match[str]) -> Reference:
    fields = {name.lower(): plain(value) for name, value in _FIELD.findall(match[3])}
    people = fields.get("author", "").split(" and ")
    more = people[-1] == "others"
    people = people[:-1] if more else people
    family = [person.partition(",")[0] for person in people]
    year = fields.get("year", "")
    short = f"{family[0]} et al." if more or len(family) > 2 else " and ".join(family)
    where = next((fields[name] for name in PLACES if name in fields), "")
    place = " ".join(filter(None, (where, fields.get("volume", ""))))
    parts = (f"{'; '.join(people)}{' et al.' if more else ''} ({year})", fields.get("title", ""), place)
    text = " ".join(f"{part}." for part in parts if part)
    return Reference(match[2], f"{short} {year}", text, fields.get("doi", ""), match[0])


def plain(text: str) -> str:
    r"""Return a BibTeX value as plain text.

    >>> plain(r'Gy{\"o}rgy, Andr{\'a}s: {MSE} \& 1--2')
    'György, András: MSE & 1–2'
    """
    accented = re.sub(r"\{?\\([\"'`~])\{?(\w)\}?\}?", lambda m: _ACCENTS.get(m[1] + m[2], m[2]), text)
    return re.sub(r"\s+", " ", re.sub(r"[{}]", "", accented).replace("\\&", "&").replace("--", "–")).strip()
