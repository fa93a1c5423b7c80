"""The screen of `elastic watch`: progress of the study, and the curves of some runs side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from elastic.study import RunStatus
from elastic.watching.column import column
from elastic.watching.courses import Course

#: Minimum width of a run's curves.
COLUMN = 38


@dataclass(frozen=True)
class Picture:
    """Contents of the screen.

    Attributes
    ----------
    name, title, folder
        Of the study.
    runs
        All runs of the study.
    courses
        Curves of the shown runs.
    metric
        Variable drawn by layer.
    sealed
        Whether the cube is sealed.
    left
        Remaining time as text, "" if unknown.
    note
        Read error, or "".
    old
        Whether there is a sealed cube, but of an earlier state of the study.
    """

    name: str
    title: str
    folder: str
    runs: Sequence[RunStatus]
    courses: Sequence[Course]
    metric: str
    sealed: bool
    left: str = ""
    note: str = ""
    old: bool = False


def columns(width: int) -> int:
    """Return the number of runs to show side by side.

    >>> columns(80), columns(120), columns(20)
    (2, 3, 1)
    """
    return max(1, (width + 2) // (COLUMN + 2))


def picture(shown: Picture, *, width: int, height: int, colours: bool) -> RenderableType:
    """Draw the screen for a terminal of width × height cells."""
    parts: list[RenderableType] = [_heading(shown), _progress(shown, width)]
    if shown.note:
        parts.append(Text(shown.note, style="yellow"))
    if shown.courses:
        count = len(shown.courses)
        table = Table.grid(padding=(0, 2, 0, 0))
        each = (width - 2 * (count - 1)) // count
        for _ in range(count):
            table.add_column(width=each, no_wrap=True)
        table.add_row(
            *(
                column(course, shown.metric, width=each, height=height - 4 - bool(shown.note), colours=colours)
                for course in shown.courses
            )
        )
        parts += [Text(""), table]
    more = len(shown.runs) - len(shown.courses)
    if more > 0 and shown.courses:
        parts.append(
            Text(
                f"and {more} more run{'s' if more > 1 else ''} (elastic status {quote(shown.folder)})",
                style="dim",
                overflow="ellipsis",
                no_wrap=True,
            )
        )
    return Group(*parts)


def _heading(shown: Picture) -> Text:
    heading = Text(shown.name, style="bold", no_wrap=True, overflow="ellipsis")
    return heading.append(f"  {shown.title}" if shown.title != shown.name else "", style="not bold")


def _progress(shown: Picture, width: int) -> RenderableType:
    ended, states = sum(r.ended for r in shown.runs), Counter(r.state for r in shown.runs)
    text = [f"{ended} of {len(shown.runs)} runs ended"]
    text += [f"{states[state]} {state}" for state in ("under way", "interrupted") if states[state]]
    text.append(
        "cube sealed" if shown.sealed else shown.left or ("sealed cube out of date" if shown.old else "not sealed")
    )
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_row(ProgressBar(total=1.0, completed=share_done(shown.runs), width=min(30, width // 4)), ", ".join(text))
    return table


def share_done(runs: Sequence[RunStatus]) -> float:
    """Return the recorded share of all epochs; runs without planned epochs count once they have ended."""
    if not runs:
        return 0.0
    shares = [1.0 if run.ended else (run.epoch or 0) / run.epochs if run.epochs else 0.0 for run in runs]
    return min(1.0, sum(shares) / len(shares))
