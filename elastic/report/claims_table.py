"""Rows of the table of claims: verdict, effect, and a drawing of the interval."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elastic.analysis.reading import spelled
from elastic.claims.verdicts import Finding, Verdict
from elastic.display.numbers import effect_words, in_digits, typeset
from elastic.display.verdicts import SIGNS, adjusted_words, fragile_words
from elastic.errors import UnknownName
from elastic.registry import registry
from elastic.report.context import Context

#: Width of a strip, margin at either end, and padding beyond the outermost mark as a share of the range.
LENGTH, END, PAD = 200.0, 6.0, 0.08


@dataclass(frozen=True)
class Strip:
    """Positions of the marks of one finding, from 0 to `LENGTH`.

    Attributes
    ----------
    effect
        The mean over seeds.
    lower, upper
        Its interval, or None.
    seeds
        The effect of each seed.
    region
        Limits of the effects that support the claim; shaded.
    """

    effect: float
    lower: float | None
    upper: float | None
    seeds: tuple[float, ...]
    region: tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One setting of a claim: setting, verdict, reason if inconclusive, effect, region, seeds, drawing, interval.

    The interval is the adjusted one if it differs from that of the effect.
    """

    setting: str
    verdict: str
    reason: str
    effect: str
    region: str
    seeds: int
    strip: Strip | None
    adjusted: str = ""


@dataclass(frozen=True)
class Claim:
    """One claim: sentence, source, note on elastic's own definitions, verdict, rows, and remarks."""

    name: str
    sentence: str
    source: str
    own: str
    quantity: str
    verdict: str
    rows: tuple[Row, ...]
    late: str = ""


@dataclass(frozen=True)
class ClaimsTable:
    """All claims of a study and when they were registered, or a note on why there are none."""

    claims: tuple[Claim, ...]
    note: str
    standing: tuple[str, ...] = ()

    @property
    def tally(self) -> dict[str, int]:
        """Number of claims with each verdict, without zeros."""
        verdicts = [claim.verdict for claim in self.claims]
        return {verdict: verdicts.count(verdict) for verdict in SIGNS if verdict in verdicts}


def claims_table(context: Context) -> ClaimsTable:
    """Return the claims of a study, or a note that there are none or why they could not be checked."""
    none = "" if context.verdicts else f"The {'study' if context.recorded else 'protocol'} makes no claims."
    standing = context.standing
    late = [standing.late(number) if standing else "" for number in range(len(context.verdicts))]
    lines = tuple(standing.lines()) if standing else ()
    return ClaimsTable(tuple(map(_claim, context.verdicts, late)), context.unchecked or none, lines)


def _claim(verdict: Verdict, late: str) -> Claim:
    rows = tuple(_rows(verdict.findings))
    own = own_definition(verdict.name)
    late = "; ".join(filter(None, (late, fragile_words(verdict.fragile))))
    return Claim(verdict.name, verdict.sentence, verdict.source, own, verdict.quantity, verdict.verdict, rows, late)


def own_definition(name: str) -> str:
    """Describe which part of a claim is defined by elastic and not by its source; "" if none, or for unknown claims."""
    try:
        return str(registry("claims").get(name).facts.own)
    except UnknownName:
        return ""


def _rows(findings: tuple[Finding, ...]) -> Iterator[Row]:
    for finding, strip in zip(findings, strips(findings), strict=True):
        yield Row(
            in_words(finding.setting),
            finding.verdict,
            finding.reason,
            typeset(effect_words(finding.effect, finding.lower, finding.upper, finding.seeds)),
            region_in_words(finding.region),
            finding.seeds,
            strip,
            typeset(adjusted_words((finding.lower, finding.upper), finding.adjusted)) if finding.seeds > 1 else "",
        )


def in_words(setting: Mapping[str, Any]) -> str:
    """Format a setting.

    >>> in_words({"weight_decay": 0.005, "batch_norm": True})
    'weight_decay = 0.005, batch_norm = true'
    """
    return ", ".join(f"{axis} = {spelled(value)}" for axis, value in setting.items())


def region_in_words(region: tuple[float | None, float | None]) -> str:
    """Describe which effects support a claim; "" if unknown.

    >>> region_in_words((0.95, None)), region_in_words((None, 0)), region_in_words((-0.1, 0.1))
    ('above 0.950', 'below 0', 'from −0.100 to 0.100')
    """
    low, high = region
    if low is not None and high is not None:
        return f"from {typeset(in_digits(low))} to {typeset(in_digits(high))}"
    if low is None:
        return "" if high is None else f"below {typeset(in_digits(high))}"
    return f"above {typeset(in_digits(low))}"


def strips(findings: Sequence[Finding]) -> list[Strip | None]:
    """Return a strip for each finding of a claim, on a common scale; None for findings without an effect."""
    marks = [mark for finding in findings for mark in _marks(finding)]
    if not marks:
        return [None] * len(findings)
    low, high = min(marks), max(marks)
    reach = (high - low) or abs(high) or 1.0
    low, high = low - PAD * reach, high + PAD * reach
    return [_strip(finding, low, high) if _finite(finding.effect) else None for finding in findings]


def _marks(finding: Finding) -> list[float]:
    numbers = [finding.effect, finding.lower, finding.upper, *finding.region, *finding.per_seed]
    return [value for value in numbers if value is not None and math.isfinite(value)] if _finite(finding.effect) else []


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
