"""What a study tells while it runs: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Watcher:
    """Is told how a study goes; this one says nothing.

    Used as a context manager around a whole study.
    """

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def study_started(self, name: str, runs: int, finished: int) -> None:
        """Tell how many runs the study has, and how many of them were finished before."""

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Tell that a run begins, or goes on after ``epoch``."""

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Tell that an epoch is trained, measured and recorded."""

    def run_finished(self, label: str, seconds: Mapping[str, float]) -> None:
        """Tell that a run is done, and where its seconds went."""

    def run_ended_elsewhere(self, label: str) -> None:
        """Tell that another process has ended a run."""
        self.note(f"{label}: finished by another process")

    def run_lost(self, label: str) -> None:
        """Tell that a run stopped in the middle because its worker died."""

    def worker(self, place: int) -> Watcher:
        """Return who is told of the runs of one of several workers; ``place`` counts from 0."""
        return self

    def note(self, message: str) -> None:
        """Tell something else that the user should know."""


class Lines(Watcher):
    """Plain lines, one at each probed epoch: for logs, files and pipes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.begun = time.monotonic()
        self.label = ""
        self._workers: dict[int, Lines] = {}

    def worker(self, place: int) -> Watcher:
        """Return lines of one of several workers."""
        if place not in self._workers:
            self._workers[place] = Lines(self.stream)
            self._workers[place].begun = self.begun
        return self._workers[place]

    def note(self, message: str) -> None:
        """Write a line with the seconds since the start."""
        print(f"[{time.monotonic() - self.begun:7.1f}s] {message}", file=self.stream, flush=True)

    def study_started(self, name: str, runs: int, finished: int) -> None:
        """Write the study's size."""
        before = f", {finished} finished before" if finished else ""
        self.note(f"study {name}: {runs} runs{before}")

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Write which run begins or goes on."""
        self.label, self.epochs = label, epochs
        self.note(f"{label}: {f'resumed after epoch {epoch}' if epoch else 'started'} ({epochs} epochs)")

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Write the scores of a probed epoch."""
        if probed:
            self.note(f"{self.label}: epoch {epoch}/{self.epochs}  {in_words(scores)}")

    def run_finished(self, label: str, seconds: Mapping[str, float]) -> None:
        """Write where the seconds went."""
        self.note(f"{label}: finished; {seconds_in_words(seconds)}")


class Bars(Watcher):
    """Two progress bars, of runs and of epochs, for a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        columns = (TextColumn("{task.description:<16}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, TextColumn("{task.fields[scores]}", style="dim"), console=self.console)
        self.runs: TaskID | None = None
        self.epochs: TaskID | None = None

    def __enter__(self) -> Watcher:
        self.progress.start()
        return self

    def __exit__(self, *exit_: Any) -> None:
        self.progress.stop()

    def study_started(self, name: str, runs: int, finished: int) -> None:
        """Show the bar of runs."""
        self.runs = self.progress.add_task(name, total=runs, completed=finished, scores="")

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Show the bar of this run's epochs."""
        if self.epochs is not None:
            self.progress.remove_task(self.epochs)
        self.epochs = self.progress.add_task(label, total=epochs, completed=epoch, scores="")

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Move the bar of epochs."""
        if self.epochs is not None:
            self.progress.update(self.epochs, completed=epoch, scores=in_words(scores))

    def run_finished(self, label: str, seconds: Mapping[str, float]) -> None:
        """Move the bar of runs."""
        if self.runs is not None:
            self.progress.advance(self.runs)
        self.note(f"{label}: {seconds_in_words(seconds)}")

    def run_ended_elsewhere(self, label: str) -> None:
        """Move the bar of runs."""
        if self.runs is not None:
            self.progress.advance(self.runs)
        super().run_ended_elsewhere(label)

    def note(self, message: str) -> None:
        """Print a line above the bars."""
        self.progress.console.print(message, style="dim", highlight=False)


def watcher() -> Watcher:
    """Return bars if standard error is a terminal, else lines."""
    return Bars() if sys.stderr.isatty() else Lines()


@contextmanager
def counting() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function ``(part, done, of)`` that moves a bar on a terminal, and says nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda part, done, of: None
        return
    columns = (BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", style="dim"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda part, done, of: progress.update(task, description=part, completed=done, total=of)


def in_words(scores: Mapping[str, float]) -> str:
    """Return scores in a few words.

    >>> in_words({"train loss": 0.01234, "test accuracy": 0.975})
    'train loss 0.0123, test accuracy 0.975'
    """
    return ", ".join(f"{name} {value:.3g}" for name, value in scores.items())


def seconds_in_words(seconds: Mapping[str, float]) -> str:
    """Return where the seconds of a run went.

    >>> seconds_in_words({"training": 6.12, "writing": 0.5})
    '6.1 s training, 0.5 s writing'
    """
    return ", ".join(f"{value:.1f} s {part}" for part, value in seconds.items())
