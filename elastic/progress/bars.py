"""Progress bars for a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import IO, Any, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from elastic.progress.course import Course, in_words, left_in_words, seconds_in_words
from elastic.progress.watcher import Watcher


class Bars(Watcher):
    """A progress bar for the study with the remaining time, and one below it for each running run."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=cast(IO[str], Unfailing(sys.stderr)))
        self.course = Course()
        # A row is one line: on narrow terminals the text at its end is truncated first, then the bar gets shorter.
        self.progress = Progress(
            TextColumn(
                "{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", max_width=40)
            ),
            BarColumn(max(8, min(30, self.console.width - 90))),
            TextColumn("{task.fields[count]}", table_column=Column(no_wrap=True, justify="right")),
            RowText(table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            console=self.console,
        )
        self._study = self.progress.add_task("", total=None, count="", text="", visible=False)
        self._rows: dict[int | None, Row] = {}

    def __enter__(self) -> Watcher:
        self.progress.start()
        return self

    def __exit__(self, *exit_: Any) -> None:
        self.progress.stop()

    def study_started(self, name: str, runs: int, finished: int, epochs: int = 0, probed: Sequence[int] = ()) -> None:
        """Show the bar of the study; it advances with epochs and shows the number of runs."""
        self.course.start(runs, finished, epochs, probed)
        self.progress.reset(self._study, description=name, count="", text=self.times, visible=True)
        self.show_course()

    def times(self) -> str:
        """Return elapsed and remaining time; called whenever the bars are drawn."""
        course = self.course
        left = left_in_words(course.remaining) if course.finished < course.runs else ""
        return f"{timedelta(seconds=int(course.elapsed))}{', ' if left else ''}{left}"

    def show_course(self) -> None:
        """Advance the bar of the study."""
        course = self.course
        share = course.finished / max(1, course.runs) if not course.planned else course.done / course.planned
        count = f"{course.finished}/{course.runs} runs"
        self.progress.update(self._study, total=1.0, completed=share, count=count)

    def worker(self, place: int) -> Watcher:
        """Return the row of one of several workers; its notes name the run."""
        return self._row(place)

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Show the bar of this run."""
        self._row(None).run_started(label, epochs, epoch)

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Advance the bars."""
        self._row(None).epoch_done(epoch, scores, probed)

    def run_finished(self, label: str, seconds: Mapping[str, float]) -> None:
        """Print how long each phase of the run took."""
        self._row(None).run_finished(label, seconds)

    def run_lost(self, label: str, again: bool) -> None:
        """Remove the bar of the run."""
        self._row(None).run_lost(label, again)

    def run_ended_elsewhere(self, label: str) -> None:
        """Count a run that another process finished."""
        self.course.end()
        self.show_course()
        self.note(f"{label}: finished by another process")

    def note(self, message: str) -> None:
        """Print a line above the bars."""
        self.progress.console.print(message, style="dim", highlight=False, markup=False)

    def _row(self, place: int | None) -> Row:
        if place not in self._rows:
            self._rows[place] = Row(self, is_worker=place is not None)
        return self._rows[place]


class Row(Watcher):
    """The bar of one worker's, or this process's, current run; its row stays in place from run to run."""

    def __init__(self, bars: Bars, *, is_worker: bool) -> None:
        self._bars, self._is_worker = bars, is_worker
        self._task = bars.progress.add_task("", total=None, count="", text="", visible=False)
        self._label, self._epochs, self._epoch, self._since = "", 0, 0, 0.0

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Show the bar."""
        self._label, self._epochs, self._epoch, self._since = label, epochs, epoch, time.monotonic()
        self._bars.course.begin(epoch)
        count = f"epoch {epoch}/{epochs}"
        progress = self._bars.progress
        progress.reset(self._task, total=epochs, completed=epoch, visible=True, description=label, count=count, text="")

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Advance this bar and that of the study."""
        before, self._since = self._since, time.monotonic()
        self._bars.course.train(epoch - self._epoch, probed=probed, seconds=self._since - before)
        self._epoch = epoch
        count = f"epoch {epoch}/{self._epochs}"
        self._bars.progress.update(self._task, completed=epoch, count=count, text=in_words(scores))
        self._bars.show_course()

    def run_finished(self, label: str, seconds: Mapping[str, float]) -> None:
        """Remove the bar and print how long each phase of the run took."""
        self._bars.course.end(self._epochs - self._epoch)
        self._hide()
        self._bars.show_course()
        self._bars.note(f"{label}: {seconds_in_words(seconds) or 'finished'}")

    def run_lost(self, label: str, again: bool) -> None:
        """Remove the bar; the epochs count again when the run resumes."""
        self._bars.course.leave(self._epoch if self._label else 0, again=again)
        self._hide()
        self._bars.show_course()

    def run_ended_elsewhere(self, label: str) -> None:
        """Count a run that another process finished."""
        self._bars.run_ended_elsewhere(label)

    def note(self, message: str) -> None:
        """Print a line above the bars."""
        self._bars.note(f"{self._label}: {message}" if self._is_worker and self._label else message)

    def _hide(self) -> None:
        self._label = ""
        self._bars.progress.update(self._task, visible=False)


class Unfailing:
    """A stream to a terminal that may be closed: a study that is stopping must still be able to finish."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or drop the text."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or do nothing."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class RowText(ProgressColumn):
    """Column with the text at the end of a row: a string, or a function called whenever the row is drawn."""

    def render(self, task: Task) -> Text:
        """Return the text."""
        text = task.fields["text"]
        return Text(text() if callable(text) else text, style="dim")
