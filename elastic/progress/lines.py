"""Progress as plain lines, for logs, files and pipes."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TextIO

from elastic.progress.course import Course, in_words, left_in_words, seconds_in_words
from elastic.progress.watcher import Watcher

#: Seconds without output after which a run prints its epoch, probed or not.
SILENCE = 30.0


class Lines(Watcher):
    """Writes a line at each probed epoch, and after half a minute without output."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.course = Course()
        self.label, self.epochs, self._epoch, self._since = "", 0, 0, 0.0
        self._last = self.course.begun
        self._workers: dict[int, LinesOfWorker] = {}

    def worker(self, place: int) -> Watcher:
        """Return the lines of one of several workers; each names its run."""
        return self._workers.setdefault(place, LinesOfWorker(self))

    def note(self, message: str) -> None:
        """Write a line with the seconds since the start."""
        self.write(message)

    def write(self, message: str) -> None:
        """Write a line with the seconds since the start; does nothing if the pipe is closed."""
        self._last = time.monotonic()
        with suppress(OSError):
            print(f"[{self._last - self.course.begun:7.1f}s] {message}", file=self.stream, flush=True)

    def study_started(self, name: str, runs: int, finished: int, epochs: int = 0, probed: Sequence[int] = ()) -> None:
        """Write the size of the study."""
        self.course.start(runs, finished, epochs, probed)
        before = f", {finished} finished before" if finished else ""
        self.write(f"study {name}: {runs} {'run' if runs == 1 else 'runs'}{before}")

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Write which run starts or resumes."""
        self.label, self.epochs, self._epoch, self._since = label, epochs, epoch, time.monotonic()
        self.course.begin(epoch)
        self.write(f"{label}: {f'resumed after epoch {epoch}' if epoch else 'started'} ({epochs} epochs)")

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Write the scores of a probed epoch, or after a long time without output."""
        before, self._since = self._since, time.monotonic()
        self.course.train(epoch - self._epoch, probed=probed, seconds=self._since - before)
        self._epoch = epoch
        if probed or time.monotonic() - self._last >= SILENCE:
            self.write(f"{self.label}: epoch {epoch}/{self.epochs}  {in_words(scores)}")

    def run_finished(self, label: str, seconds: Mapping[str, float]) -> None:
        """Write how long each phase of the run took, and the progress of the study."""
        course = self.course
        course.end(self.epochs - self._epoch)
        left = left_in_words(course.remaining) if course.finished < course.runs else ""
        whole = f"{course.finished} of {course.runs} runs ended{', ' if left else ''}{left}" if course.runs > 1 else ""
        self.write("; ".join(part for part in (f"{label}: finished", seconds_in_words(seconds), whole) if part))
        self.label = ""

    def run_lost(self, label: str, again: bool) -> None:
        """Count the epochs of the run again when it resumes."""
        self.course.leave(self._epoch if self.label else 0, again=again)
        self.label = ""

    def run_ended_elsewhere(self, label: str) -> None:
        """Count a run that another process finished."""
        self.course.end()
        self.write(f"{label}: finished by another process")


class LinesOfWorker(Lines):
    """Lines of one of several workers; each note names the run."""

    def __init__(self, whole: Lines) -> None:
        super().__init__(whole.stream)
        self.course = whole.course

    def note(self, message: str) -> None:
        """Write a line that names the run."""
        self.write(f"{self.label}: {message}" if self.label else message)
