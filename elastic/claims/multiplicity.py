"""Levels of several claims on one study, such that few studies have any false verdict.

Seven independent claims whose truth is at the edge, each judged at 5 %, give at least one false verdict in 16 of 100
studies (normal effects; each claim errs in 2.5 % of studies on either side, one side only where the truth has an edge).
Holm's procedure bounds the rate for the whole study, whatever the dependence between its claims.
"""

from __future__ import annotations

from collections.abc import Sequence

from elastic.claims.decision import LEVEL


def holm(values: Sequence[float | None], level: float = LEVEL) -> list[float]:
    """Return the level of each claim of a study, by Holm's step-down procedure.

    Parameters
    ----------
    values
        p-value of each claim: the smallest 1 − level at which it has a verdict; None for a claim that cannot have one
        (less than two seeds, not measured), which is not counted.
    level
        Of the study as a whole.

    Returns
    -------
    list of float
        1 − (1 − level)/m for the smallest p-value of m claims, 1 − (1 − level)/(m − 1) for the next, and so on; from
        the first one that has no verdict at its level, the same level for all others.

    Examples
    --------
    >>> [round(1 - one, 4) for one in holm([0.001, 0.04, None, 0.02])]
    [0.0167, 0.05, 0.05, 0.025]
    """
    known = sorted((value, place) for place, value in enumerate(values) if value is not None)
    levels, strictness, left = [level] * len(values), 1 - level, len(known)
    for value, place in known:
        levels[place] = 1 - strictness / left
        if value <= strictness / left:
            left -= 1
    return levels
