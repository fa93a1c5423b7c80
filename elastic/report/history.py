"""The history of a study: its runs and their states, versions and machines, as text for a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elastic.analysis.reading import spelled
from elastic.display.numbers import epoch_of
from elastic.report.context import Context
from elastic.study import RunStatus

#: Symbol of each state of a run.
SYMBOLS: Mapping[str, str] = {
    "done": "✓",
    "diverged": "✗",
    "under way": "…",
    "interrupted": "‖",
    "lost": "?",
    "waiting": "·",
}


@dataclass(frozen=True)
class RunRow:
    """One run: its labels on the axes, state, epoch, seconds and machine."""

    labels: tuple[str, ...]
    state: str
    epoch: str
    seconds: str
    engine: str
    cell: str


@dataclass(frozen=True)
class History:
    """All runs of a study, the number in each state, warnings, and provenance."""

    axes: tuple[str, ...]
    rows: tuple[RunRow, ...]
    states: Mapping[str, int]
    warnings: tuple[str, ...]
    facts: Mapping[str, tuple[str, ...]]


def history(context: Context) -> History:
    """Return the history of a study, finished or not."""
    runs = context.runs
    return History(
        axes=tuple(runs[0].coordinates) if runs else (),
        rows=tuple(_row(run, report) for run, report in zip(runs, context.reports, strict=True)),
        states={state: context.states[state] for state in SYMBOLS if state in context.states},
        warnings=(*_warnings(context.states, len(runs)), *(f"{note}." for note in context.notes)),
        facts={name: lines for name, lines in _facts(context).items() if lines},
    )


def _row(run: RunStatus, report: Mapping[str, Any]) -> RunRow:
    epoch = epoch_of(run.epoch, run.epochs)
    seconds = f"{sum(run.seconds.values()):.1f}" if run.seconds else "–"
    labels = tuple(spelled(value) for value in run.coordinates.values())
    return RunRow(labels, run.state, epoch, seconds, str(report.get("engine") or "–"), run.cell)


def _warnings(states: Mapping[str, int], count: int) -> list[str]:
    warnings = []
    if to_come := sum(states.get(state, 0) for state in ("waiting", "under way", "interrupted")):
        is_idle = states.get("interrupted", 0) and not states.get("under way", 0)
        words = "was interrupted, and can be resumed" if is_idle else "is still under way"
        warnings.append(
            f"This study {words}: {count - to_come} of {count} runs have ended. Everything here is what the "
            "runs hold so far, and may change."
        )
    if diverged := states.get("diverged", 0):
        every = "All" if diverged == count else f"{diverged} of {count}"
        warnings.append(
            f"{every} runs diverged: from that epoch on they have no values, and no mean here counts them. "
            "See Runs for which ones."
        )
    return warnings


def _facts(context: Context) -> dict[str, tuple[str, ...]]:
    made, reports = context.provenance, context.reports
    versions = {"Python": made.get("python"), **dict(made.get("versions") or {})}
    seconds = sum((Counter(run.seconds) for run in context.runs), Counter[str]())
    return {
        f"{'Study' if context.recorded else 'Protocol'} digest (SHA-256)": (context.digest,),
        "elastic": tuple(_of(made, "elastic_version")),
        "Commit of elastic": tuple(map(_commit, _of(made, "elastic_commit"))),
        "Versions": tuple(f"{name} {version}" for name, version in versions.items() if version),
        "Machine": tuple(_of(made, "machine")),
        "Runs on": _different(reports, lambda report: _environment(report.get("environment") or {})),
        "Probe engine": _different(reports, lambda report: str(report.get("engine") or "")),
        "Data digest (SHA-256)": _different(reports, lambda report: str(report.get("data_digest") or "")),
        "Seeds": (", ".join(map(str, context.axes["seed"])),),
        "Seconds, all runs": tuple(f"{name} {spent:.1f}" for name, spent in sorted(seconds.items())),
    }


def _commit(commit: str) -> str:
    """Format a commit; a trailing "+" marks uncommitted changes."""
    return f"{commit[:-1]}, and changes since" if commit.endswith("+") else commit


def _of(made: Mapping[str, Any], key: str) -> list[str]:
    return [str(made[key])] if made.get(key) else []


def _different(reports: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], str]) -> tuple[str, ...]:
    """Return the distinct texts read from the reports."""
    return tuple(dict.fromkeys(text for report in reports if (text := read(report))))


def _environment(environment: Mapping[str, Any]) -> str:
    """Return where a run ran.

    >>> _environment({"device": "cpu", "threads": "2", "torch": "2.13.0"})
    'device cpu, threads 2, torch 2.13.0'
    """
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in environment.items())
