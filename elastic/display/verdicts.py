"""Reading the verdicts in a study's ``claims.json``, if they belong to its protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from elastic.cube.atomic import read_regular
from elastic.cube.checked_files import decode_json
from elastic.display.numbers import digits_apart, ends, in_digits

FILE = "claims.json"

#: A verdict is shown by a word and a sign, never by colour alone.
SIGNS: Mapping[str, str] = {"supported": "✓", "refuted": "✗", "inconclusive": "?", "error": "!"}


def adjusted_words(plain: tuple[float | None, float | None], adjusted: tuple[float | None, float | None]) -> str:
    """Describe the adjusted interval that decides; "" if it equals the plain one or there is none.

    >>> adjusted_words((1.0, 2.0), (0.5, 3.0)), adjusted_words((1, 2), (1, 2)), adjusted_words((1, 2), (0, None))
    ('adjusted [0.500, 3.00]', '', 'adjusted [0, ∞]')
    """
    if tuple(plain) == tuple(adjusted) or not any(end is not None for end in adjusted):
        return ""
    least, greatest = ends(*adjusted)
    digits = digits_apart(least, greatest)
    return f"adjusted [{in_digits(least, digits)}, {in_digits(greatest, digits)}]"


def fragile_words(seeds: Sequence[Any]) -> str:
    """Describe the seeds without which the verdict changes; "" if there are none.

    >>> fragile_words([]), fragile_words([2]), fragile_words([0, 1])
    ('', 'fragile: another verdict without seed 2', 'fragile: another verdict without any one of the seeds 0, 1')
    """
    if not seeds:
        return ""
    listed = ", ".join(map(str, seeds))
    return f"fragile: another verdict without {'seed' if len(seeds) == 1 else 'any one of the seeds'} {listed}"


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of the last check of a study's claims.

    Attributes
    ----------
    claims
        One mapping per claim, as in ``claims.json``: name, sentence, source, quantity, verdict, findings.
    note
        Additional information, or the reason why there are no verdicts: not checked yet, another protocol, unreadable.
    """

    claims: tuple[Mapping[str, Any], ...]
    note: str


def read_verdicts(folder: Path, digest: str, claimed: int) -> Verdicts:
    """Read the verdicts of a study.

    Parameters
    ----------
    folder
        Folder of the study.
    digest
        Digest of its protocol; verdicts of another protocol are ignored.
    claimed
        Number of claims in the protocol.
    """
    check = f"elastic check {quote(str(folder))}"
    try:
        stored, _ = decode_json(read_regular(folder / FILE))
        claims = tuple(dict(claim) for claim in stored["claims"])
        same = stored["digest"] == digest
        if any(not {"name", "sentence", "source", "verdict", "findings"} <= claim.keys() for claim in claims):
            raise KeyError("claims")
    except FileNotFoundError:
        return Verdicts((), f"{claimed} claimed, not yet checked: {check}" if claimed else "")
    except (OSError, ValueError, KeyError, TypeError):
        return Verdicts((), f"{FILE} is not readable: {check}")
    return Verdicts(claims, "") if same else Verdicts((), f"{FILE} is of another protocol: {check}")
