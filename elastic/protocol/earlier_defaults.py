"""Interpretations of a protocol file by earlier releases, for studies without a stored canonical protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

from elastic.protocol.later_options import Earlier, Model, always
from elastic.protocol.schema import Protocol

#: Above this number of later options only two combinations are tried: all as in earlier releases, or none.
MOST = 6


def beginnings(load: Callable[[Earlier], Protocol]) -> Iterator[Protocol]:
    """Yield a protocol as interpreted by this release, by one without any later option, and by those in between.

    An option that the file does not name means its default to the releases that have it, and the earlier behaviour to
    those before.

    Parameters
    ----------
    load
        Loads the file, given which later options keep the earlier behaviour (`elastic.protocol.load_protocol`).
    """
    options: dict[tuple[Model, str], None] = {}

    def note(owner: Model, name: str) -> bool:
        options[owner, name] = None
        return False

    yield load(note)
    if not options:
        return
    yield load(always)
    for count in range(1, len(options)) if len(options) <= MOST else ():
        for chosen in combinations(options, count):
            yield load(_among(frozenset(chosen)))


def _among(options: frozenset[tuple[Model, str]]) -> Earlier:
    return lambda owner, name: (owner, name) in options
