"""How a study came about: its runs and how they ended, the versions and machines, in words for a page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elastic.analysis.reading import spelled
from elastic.study import RunStatus, Study

#: States of a run with the symbol that stands beside the word.
SYMBOLS: Mapping[str, str] = {"done": "✓", "diverged": "✗", "under way": "…", "waiting": "·"}


@dataclass(frozen=True)
class RunRow:
    """One run: its labels on the axes, state, epoch in words, seconds and where it ran."""

    labels: tuple[str, ...]
    state: str
    epoch: str
    seconds: str
    engine: str
    cell: str


@dataclass(frozen=True)
class History:
    """All runs of a study, how many are in each state, what readers must know of them, and what all was made with."""

    axes: tuple[str, ...]
    rows: tuple[RunRow, ...]
    states: Mapping[str, int]
    warnings: tuple[str, ...]
    facts: Mapping[str, tuple[str, ...]]


def history(study: Study) -> History:
    """Return the history of a study, finished or not."""
    runs = study.runs()
    reports = [run_report(study, run.cell) for run in runs]
    states = dict(Counter(run.state for run in runs))
    return History(
        axes=tuple(runs[0].coordinates) if runs else (),
        rows=tuple(_row(run, report) for run, report in zip(runs, reports, strict=True)),
        states={state: states[state] for state in SYMBOLS if state in states},
        warnings=tuple(_warnings(states, len(runs))),
        facts={name: told for name, told in _facts(study, runs, reports).items() if told},
    )


def run_report(study: Study, cell: str) -> dict[str, Any]:
    """Return what a run wrote when it ended; nothing if it has not, or the file is damaged."""
    try:
        found = json.loads((study.run_folder(cell) / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _row(run: RunStatus, report: Mapping[str, Any]) -> RunRow:
    epoch = "–" if run.epoch is None else f"{run.epoch} of {run.epochs}"
    seconds = f"{sum(run.seconds.values()):.1f}" if run.seconds else "–"
    labels = tuple(spelled(value) for value in run.coordinates.values())
    return RunRow(labels, run.state, epoch, seconds, str(report.get("engine") or "–"), run.cell)


def _warnings(states: Mapping[str, int], count: int) -> list[str]:
    found = []
    if to_come := states.get("waiting", 0) + states.get("under way", 0):
        found.append(
            f"This study is still under way: {count - to_come} of {count} runs have ended. Everything here is what the "
            "runs hold so far, and may change."
        )
    if diverged := states.get("diverged", 0):
        every = "All" if diverged == count else f"{diverged} of {count}"
        found.append(
            f"{every} runs diverged: from that epoch on they have no values, and no mean here counts them. "
            "Which ones is told under Runs."
        )
    return found


def _facts(study: Study, runs: Sequence[RunStatus], reports: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    made: Mapping[str, Any] = study.facts["provenance"]
    versions = {"Python": made.get("python"), **dict(made.get("versions") or {})}
    seconds = sum((Counter(run.seconds) for run in runs), Counter[str]())
    return {
        "Protocol digest (SHA-256)": (study.digest,),
        "elastic": tuple(_of(made, "elastic_version")),
        "Commit of elastic": tuple(map(_commit, _of(made, "elastic_commit"))),
        "Versions": tuple(f"{name} {version}" for name, version in versions.items() if version),
        "Machine": tuple(_of(made, "machine")),
        "Runs on": _different(reports, lambda report: _environment(report.get("environment") or {})),
        "Probe engine": _different(reports, lambda report: str(report.get("engine") or "")),
        "Data digest (SHA-256)": _different(reports, lambda report: str(report.get("data_digest") or "")),
        "Seeds": (", ".join(map(str, study.facts["axes"]["seed"])),),
        "Seconds, all runs": tuple(f"{name} {spent:.1f}" for name, spent in sorted(seconds.items())),
    }


def _commit(told: str) -> str:
    """Return a commit, and that the source was changed since where it ends in "+"."""
    return f"{told[:-1]}, and changes since" if told.endswith("+") else told


def _of(made: Mapping[str, Any], key: str) -> list[str]:
    return [str(made[key])] if made.get(key) else []


def _different(reports: Sequence[Mapping[str, Any]], told: Any) -> tuple[str, ...]:
    """Return what the reports say, each thing once."""
    return tuple(dict.fromkeys(text for report in reports if (text := told(report))))


def _environment(found: Mapping[str, Any]) -> str:
    """Return where a run ran.

    >>> _environment({"device": "cpu", "threads": "2", "torch": "2.13.0"})
    'device cpu, threads 2, torch 2.13.0'
    """
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.items())
