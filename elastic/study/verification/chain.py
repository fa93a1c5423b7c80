"""Records of an open run, each of which names its predecessor: which are missing, or of another recording."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """What one record states about its predecessor.

    Attributes
    ----------
    before, record
        Names of both files.
    holds
        Whether the preceding file exists, and is the one that the record names.
    """

    before: str
    record: str
    holds: bool


def stated_end(after: str) -> tuple[float, str] | None:
    """Return the epoch and the first digits of the checksum of a record's predecessor; None for the first one.

    >>> stated_end("2 (0123456789abcdef)"), stated_end("0.5 (0123456789abcdef)"), stated_end("none")
    ((2, '0123456789abcdef'), (0.5, '0123456789abcdef'), None)
    """
    match = re.fullmatch(r"(\S+) \(([^)]*)\)", after)
    if match is None:
        return None
    return (int(match[1]) if match[1].isdigit() else float(match[1])), match[2]


def culprits(links: Iterable[Link], there: Mapping[str, bool]) -> Iterator[str]:
    """Yield the fewest files that explain all broken links.

    Parameters
    ----------
    links
        Between the records of a run.
    there
        Whether a file exists: a missing one explains its links before any other.

    Examples
    --------
    Record 2 is of another recording: its links to 1 and to 3 are broken.

    >>> links = [Link("0", "1", True), Link("1", "2", False), Link("2", "3", False), Link("3", "4", True)]
    >>> list(culprits(links, dict.fromkeys("01234", True)))
    ['2']

    Of two linked records, either may be of another recording.

    >>> list(culprits([Link("0", "1", False)], dict.fromkeys("01", True)))
    ['0', '1']
    """
    links = list(links)
    held = {name for link in links if link.holds for name in (link.before, link.record)}
    left = [link for link in links if not link.holds]
    while left:
        count = Counter(name for link in left for name in (link.before, link.record))
        weights = {name: (not there.get(name, False), number, name not in held) for name, number in count.items()}
        heaviest = [name for name, weight in weights.items() if weight == max(weights.values())]
        # Two identical candidates that are linked to each other are indistinguishable; others are taken one by one.
        pair = next((one for one in left if {one.before, one.record} <= set(heaviest)), None)
        taken = {pair.before, pair.record} if pair else {heaviest[0]}
        yield from sorted(taken)
        left = [link for link in left if not taken & {link.before, link.record}]
