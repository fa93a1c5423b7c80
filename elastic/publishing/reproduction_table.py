"""Tables of a reproduction for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from elastic.analysis.epochs import epoch_label
from elastic.publishing.reproduced_runs import ReproducedRun, Reproduction
from elastic.publishing.variable_comparison import DIFFERS, IDENTICAL, UNDECIDED, WITHIN, Compared
from elastic.study.completeness import named

SIGNS = {IDENTICAL: "✓", WITHIN: "≈", DIFFERS: "✗", UNDECIDED: "?"}
COLOURS = {IDENTICAL: "green", WITHIN: "green", DIFFERS: "red", UNDECIDED: "yellow"}

#: Columns of the differences of a run, beside the one of the variables.
DIFFERENCE = ("outcome", "from epoch", "values", "largest difference", "")

#: Most variables listed for a run; the others are in reproduction.json.
LISTED = 12


def reproduction_table(reproduction: Reproduction) -> RenderableType:
    """Return tables of the runs, of the differences and of the verdicts, and the conclusion."""
    parts: list[RenderableType] = [
        Text(f"Reproduction of {reproduction.study}: {reproduction.sample}", style="bold"),
        Text(f"data: SHA-256 {', '.join(reproduction.data) or 'not recorded'}, as published", style="dim"),
        Text(""),
        _runs(reproduction),
        *_differences(reproduction),
    ]
    if reproduction.verdicts:
        parts += [Text(""), _verdicts(reproduction)]
    return Group(
        *parts, Text(""), Text(conclusion(reproduction), style=f"bold {'green' if reproduction.reproduced else 'red'}")
    )


def conclusion(reproduction: Reproduction) -> str:
    """Summarise a reproduction in one sentence."""
    words = [run.outcome for run in reproduction.runs]
    if reproduction.reproduced:
        bits = words.count(IDENTICAL)
        how = "identical to the last bit" if bits == len(words) else "within the spread over seeds"
        extent = f"{bits} of {len(words)} runs identical, the others {how}" if 0 < bits < len(words) else f"{how}"
        what = "all runs" if len(words) == reproduction.total else f"{len(words)} of {reproduction.total} runs"
        return f"Reproduced: {what} {extent}{', all verdicts the same' if reproduction.verdicts else ''}."
    wrong = [f"{words.count(word)} of {len(words)} runs {text}" for word, text in _WRONG.items() if word in words]
    other = sum(not one.same for one in reproduction.verdicts)
    wrong += [f"{other} of {len(reproduction.verdicts)} verdicts another"] if other else []
    return f"Not reproduced: {', '.join(wrong)}."


_WRONG = {DIFFERS: "differ", UNDECIDED: "undecided (one seed gives no tolerance)"}


def _runs(reproduction: Reproduction) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("run", "outcome", "variables", "compared", "seconds"):
        table.add_column(column)
    for run in reproduction.runs:
        counts = ", ".join(f"{count} {word}" for word, count in run.counts.items())
        outcome = Text(f"{SIGNS[run.outcome]} {run.outcome}", style=COLOURS[run.outcome])
        table.add_row(Text(named(run.coordinates)), outcome, counts, Text(_compared(run)), _seconds(run))
    return table


def _compared(run: ReproducedRun) -> str:
    if run.bits:
        return "bits"
    if not run.environment:
        return "tolerance"
    changed = ", ".join(f"{name} {before} → {now}" for name, (before, now) in run.environment.items())
    return f"tolerance ({changed})"


def _seconds(run: ReproducedRun) -> str:
    before, now = ("–" if one is None else f"{one:.1f}" for one in run.seconds)
    return f"{before} → {now}"


def _differences(reproduction: Reproduction) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for run in reproduction.runs:
        wrong = [one for one in run.variables if one.outcome in (DIFFERS, UNDECIDED)]
        if not wrong:
            continue
        table = Table(box=None, pad_edge=False)
        for column in (escape(f"{named(run.coordinates)}:"), *DIFFERENCE):
            table.add_column(column)
        for one in sorted(wrong, key=lambda one: (one.epoch is None, one.epoch or 0))[:LISTED]:
            table.add_row(*map(Text, _row(one)))
        parts += [Text(""), table]
        if len(wrong) > LISTED:
            parts.append(Text(f"… and {len(wrong) - LISTED} more variables (reproduction.json)", style="dim"))
    return parts


def _row(one: Compared) -> list[str]:
    epoch = "–" if one.epoch is None else epoch_label(one.epoch)
    count = one.different if one.beyond is None else one.beyond
    largest = "–" if one.largest is None else f"{one.largest:.3g}"
    values = f"{count} of {one.values}"
    return [f"{one.group}/{one.variable}", f"{SIGNS[one.outcome]} {one.outcome}", epoch, values, largest, one.reason]


def _verdicts(reproduction: Reproduction) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("claim", "published", "again", ""):
        table.add_column(column)
    for one in reproduction.verdicts:
        note = f"this release judges the published numbers {one.judged_now}" if one.judge_changed else ""
        again = Text(f"{'✓' if one.same else '✗'} {one.again}", style="green" if one.same else "red")
        table.add_row(Text(one.name), Text(one.published or "–"), again, note)
    return table
