"""An effect and its interval over seeds, drawn on a line beside the effects that would support the claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from elastic.claims.verdicts import Finding

#: Units of a strip's width, those left free at either end, and the part of the range added beyond the outermost mark.
LENGTH, END, PAD = 200.0, 6.0, 0.08


@dataclass(frozen=True)
class Strip:
    """Where the marks of one finding stand, from 0 to `LENGTH`.

    Attributes
    ----------
    effect
        The mean over seeds.
    lower, upper
        Its interval; None where there is none.
    seeds
        Each seed's own effect.
    region
        First and last of the effects that support the claim, which are shaded.
    """

    effect: float
    lower: float | None
    upper: float | None
    seeds: tuple[float, ...]
    region: tuple[float, float]


def strips(findings: Sequence[Finding]) -> list[Strip | None]:
    """Return a strip for each finding of a claim, all on one scale; None for those without an effect."""
    marks = [mark for finding in findings for mark in _marks(finding)]
    if not marks:
        return [None] * len(findings)
    low, high = min(marks), max(marks)
    reach = (high - low) or abs(high) or 1.0
    low, high = low - PAD * reach, high + PAD * reach
    return [_strip(finding, low, high) if _finite(finding.effect) else None for finding in findings]


def _marks(finding: Finding) -> list[float]:
    found = [finding.effect, finding.lower, finding.upper, *finding.region, *finding.per_seed]
    return [value for value in found if value is not None and math.isfinite(value)] if _finite(finding.effect) else []


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _strip(finding: Finding, low: float, high: float) -> Strip:
    def place(value: float | None) -> float | None:
        if value is None or not math.isfinite(value):
            return None
        return round(END + (LENGTH - 2 * END) * (value - low) / (high - low), 1)

    first, last = (place(edge) for edge in finding.region)
    seeds = tuple(there for value in finding.per_seed if (there := place(value)) is not None)
    effect = place(finding.effect)
    assert effect is not None  # only findings with an effect have a strip
    region = (0.0 if first is None else first, LENGTH if last is None else last)
    return Strip(effect, place(finding.lower), place(finding.upper), seeds, region)
