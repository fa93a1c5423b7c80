"""The table of verdicts in a terminal: each claim, its verdict, effect and interval."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from elastic.claims.checked import Checked
from elastic.claims.decision import INCONCLUSIVE, REFUTED, SUPPORTED
from elastic.claims.verdicts import ERROR, Finding, Verdict
from elastic.display.numbers import digits_apart, effect_words, ends, in_digits
from elastic.display.verdicts import SIGNS, adjusted_words, fragile_words

#: The word appears beside sign and colour, so that neither is needed.
COLOURS = {SUPPORTED: "green", REFUTED: "red", INCONCLUSIVE: "yellow", ERROR: "red"}


def verdict_table(checked: Checked) -> RenderableType:
    """Return the verdicts of a study: a heading, then each claim with its effects and intervals."""
    notes = [Text(f"note: {note}", style="yellow") for note in checked.notes]
    if not checked.verdicts:
        return Group(Text(f"{checked.study} has no claims; --claims FILE checks those of another protocol"), *notes)
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)  # all that is left: what rich measures of nested tables is too narrow
    for number, verdict in enumerate(checked.verdicts):
        label = Text(f"{SIGNS[verdict.verdict]} {verdict.verdict}", style=f"bold {COLOURS[verdict.verdict]}")
        grid.add_row(label, Padding(Group(_verdict_lines(verdict), *_late(checked, number)), (0, 0, 1, 0)))
    return Group(_heading(checked), *map(_dim, standing_lines(checked)), *notes, Text(""), grid)


def standing_lines(checked: Checked) -> list[str]:
    """Return when the claims were registered, one sentence per line."""
    if checked.standing is None:
        return ["exploratory: claims of another protocol, which were not registered with the study before training"]
    return checked.standing.lines()


def _dim(line: str) -> Text:
    return Text(line, style="dim")


def _heading(checked: Checked) -> Text:
    counts = [(word, sum(v.verdict == word for v in checked.verdicts)) for word in COLOURS]
    summary = ", ".join(f"{count} {word}" for word, count in counts if count)
    level = f"{checked.level:.0%} intervals over seeds"
    if any(verdict.level != checked.level for verdict in checked.verdicts):
        level += "; adjusted for all claims of the study, these decide"
    return Text.assemble((f"Claims of {checked.study}", "bold"), f": {summary}  ({level})")


def _late(checked: Checked, number: int) -> list[Text]:
    late = checked.standing.late(number) if checked.standing else ""
    return [Text(late, style="yellow")] if late else []


def _verdict_lines(verdict: Verdict) -> RenderableType:
    """Return the sentence and its source, and below it a line for each setting."""
    source = f"  [{verdict.source}]" if verdict.source else ""
    parts: list[RenderableType] = [Text.assemble(verdict.sentence, (source, "dim"))]
    if verdict.verdict == ERROR:
        return Group(*parts, *(Text(finding.reason) for finding in verdict.findings))
    if verdict.quantity and verdict.findings:
        of = f"; {verdict.estimates}" if verdict.estimates else ""
        parts.append(Text(f"{verdict.quantity}, {region(verdict.findings[0])}{of}:", style="dim"))
    lines, several = Table.grid(padding=(0, 2, 0, 0)), len(verdict.findings) > 1
    for finding in verdict.findings:
        lines.add_row(*_line(finding, several))
    weak = [Text(fragile_words(verdict.fragile), style="yellow")] if verdict.fragile else []
    return Group(*parts, lines, *weak)


def _line(finding: Finding, several: bool) -> list[Text]:
    setting = ", ".join(str(label) if dim == "layer" else f"{dim} = {label}" for dim, label in finding.setting.items())
    cells = [Text(setting)] if setting else []
    if several:
        cells.insert(0, Text(SIGNS[finding.verdict], style=COLOURS[finding.verdict]))
    if finding.effect is None:
        return [*cells, Text(finding.reason)]
    effect = effect_words(finding.effect, finding.lower, finding.upper, finding.seeds)
    shown = Text(effect, style="bold")
    if decides := adjusted_words((finding.lower, finding.upper), finding.adjusted):
        shown.append(f"\n{decides}", style="not bold")
    return [*cells, shown, Text(seeds(finding)), Text(finding.reason)]


def region(finding: Finding) -> str:
    """Return the interval of values that supports the claim.

    >>> finding = Finding({}, "supported", "", 2.0, 1.5, 2.5, (1.0, None), 3, [2.0, 2.0, 2.0])
    >>> region(finding), seeds(finding)
    ('claimed > 1.00', '3 seeds')
    """
    least, greatest = ends(*finding.region)
    if math.isinf(greatest):
        return f"claimed > {in_digits(least)}"
    if math.isinf(least):
        return f"claimed < {in_digits(greatest)}"
    digits = digits_apart(least, greatest)
    return f"claimed {in_digits(least, digits)} to {in_digits(greatest, digits)}"


def seeds(finding: Finding) -> str:
    """Return the number of seeds of a finding, and of all seeds if some were left out."""
    count = f"{finding.seeds} seed{'s' if finding.seeds != 1 else ''}"
    return count if finding.seeds == len(finding.per_seed) else f"{finding.seeds} of {len(finding.per_seed)} seeds"
