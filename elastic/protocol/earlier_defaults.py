"""What a protocol file meant to the releases that may have begun its study, where no canonical protocol tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

from elastic.protocol.later_options import Earlier, Model, always
from elastic.protocol.schema import Protocol

#: More later options than this are taken together only: all as before, or none.
MOST = 6


def beginnings(load: Callable[[Earlier], Protocol]) -> Iterator[Protocol]:
    """Yield a protocol as this release begins it, as one without any later option does, and as those in between do.

    Each option that a release added and that the file does not name means its default to that release, and to those
    before it what they did.

    Parameters
    ----------
    load
        Reads the file, given which later options have the earlier behaviour (`elastic.protocol.load_protocol`).
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
