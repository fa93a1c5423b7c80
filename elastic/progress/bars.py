"""Bars: for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
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
    """A bar of the study with the time that is left, and under it a bar of each run that is under way."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=cast(IO[str], Unfailing(sys.stderr)))
        self.course = Course()
        # A row is one line: what is told at its end is cut first, and the bar is short where there is little room.
        self.progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", max_width=40)),
            BarColumn(max(8, min(30, self.console.width - 90))),
            TextColumn("{task.fields[count]}", table_column=Column(no_wrap=True, justify="right")),
            Told(table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            console=self.console,
        )
        self._study = self.progress.add_task("", total=None, count="", told="", visible=False)
        self._rows: dict[int | None, Row] = {}

    def __enter__(self) -> Watcher:
        self.progress.start()
        return self

    def __exit__(self, *exit_: Any) -> None:
        self.progress.stop()

    def study_started(self, name: str, runs: int, finished: int, epochs: int = 0) -> None:
        """Show the bar of the study; it moves with the epochs, and tells the runs."""
        self.course.start(runs, finished, epochs)
        self.progress.reset(self._study, description=name, count="", told=self.times, visible=True)
        self.show_course()

    def times(self) -> str:
        """Return how long the study took so far, and what is left; asked whenever the bars are drawn."""
        course = self.course
        left = left_in_words(course.remaining) if course.finished < course.runs else ""
        return f"{timedelta(seconds=int(course.elapsed))}{', ' if left else ''}{left}"

    def show_course(self) -> None:
        """Move the bar of the study."""
        course = self.course
        share = course.finished / course.runs if not course.planned else course.done / course.planned
        count = f"{course.finished}/{course.runs} runs"
        self.progress.update(self._study, total=1.0, completed=share, count=count)

    def worker(self, place: int) -> Watcher:
        """Return the row of one of several workers, whose notes name its run."""
        return self._row(place)

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Show the bar of this run's epochs."""
        self._row(None).run_started(label, epochs, epoch)

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Move the bars."""
        self._row(None).epoch_done(epoch, scores, probed)

    def run_finished(self, label: str, seconds: Mapping[str, float]) -> None:
        """Tell where the seconds went."""
        self._row(None).run_finished(label, seconds)

    def run_lost(self, label: str, again: bool) -> None:
        """Take the bar of the run away."""
        self._row(None).run_lost(label, again)

    def run_ended_elsewhere(self, label: str) -> None:
        """Count the run of another process."""
        self.course.end()
        self.show_course()
        self.note(f"{label}: finished by another process")

    def note(self, message: str) -> None:
        """Print a line above the bars."""
        self.progress.console.print(message, style="dim", highlight=False)

    def _row(self, place: int | None) -> Row:
        if place not in self._rows:
            self._rows[place] = Row(self, is_worker=place is not None)
        return self._rows[place]


class Row(Watcher):
    """The bar of the run that one worker, or this process, carries out; it keeps its place from run to run."""

    def __init__(self, bars: Bars, *, is_worker: bool) -> None:
        self._bars, self._is_worker = bars, is_worker
        self._task = bars.progress.add_task("", total=None, count="", told="", visible=False)
        self._label, self._epochs, self._epoch = "", 0, 0

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Show the bar."""
        self._label, self._epochs, self._epoch = label, epochs, epoch
        self._bars.course.begin(epoch)
        count = f"epoch {epoch}/{epochs}"
        progress = self._bars.progress
        progress.reset(self._task, total=epochs, completed=epoch, visible=True, description=label, count=count, told="")

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Move the bar, and that of the study."""
        self._bars.course.train(epoch - self._epoch)
        self._epoch = epoch
        count = f"epoch {epoch}/{self._epochs}"
        self._bars.progress.update(self._task, completed=epoch, count=count, told=in_words(scores))
        self._bars.show_course()

    def run_finished(self, label: str, seconds: Mapping[str, float]) -> None:
        """Take the bar away, and tell where the seconds went."""
        self._bars.course.end(self._epochs - self._epoch)
        self._hide()
        self._bars.show_course()
        self._bars.note(f"{label}: {seconds_in_words(seconds) or 'finished'}")

    def run_lost(self, label: str, again: bool) -> None:
        """Take the bar away; the epochs are counted again when the run goes on."""
        self._bars.course.leave(self._epoch if self._label else 0, again=again)
        self._hide()
        self._bars.show_course()

    def run_ended_elsewhere(self, label: str) -> None:
        """Count the run of another process."""
        self._bars.run_ended_elsewhere(label)

    def note(self, message: str) -> None:
        """Print a line above the bars."""
        self._bars.note(f"{self._label}: {message}" if self._is_worker and self._label else message)

    def _hide(self) -> None:
        self._label = ""
        self._bars.progress.update(self._task, visible=False)


class Unfailing:
    """A stream to a terminal that may be closed: a study that is told to stop then must come to its end."""

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


class Told(ProgressColumn):
    """What a row tells at its end: a text, or a function that is asked whenever the row is drawn."""

    def render(self, task: Task) -> Text:
        """Return the text."""
        told = task.fields["told"]
        return Text(told() if callable(told) else told, style="dim")
