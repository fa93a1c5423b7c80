"""Callbacks for the progress of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType


class Watcher:
    """Base class of progress callbacks; its methods do nothing.

    Used as a context manager around a whole study. For each run the methods are called in order, ``run_started`` first;
    runs of several workers are reported to the watchers that `worker` returns, all in the same thread.
    """

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def study_started(self, name: str, runs: int, finished: int, epochs: int = 0, probed: Sequence[int] = ()) -> None:
        """Called with the number of runs, of runs already finished, and of epochs of the others.

        ``probed`` has the probed epochs of each run, if they are the same for all.
        """

    def worker(self, place: int) -> Watcher:
        """Return the watcher for one of several workers; ``place`` counts from 0."""
        return self

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Called when a run starts, or resumes after ``epoch``."""

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Called when an epoch is trained, measured and recorded."""

    def run_finished(self, label: str, seconds: Mapping[str, float]) -> None:
        """Called when a run is done, with the seconds of each phase."""

    def run_lost(self, label: str, again: bool) -> None:
        """Called when a run was stopped, failed or died before its end; ``again`` says whether it will resume."""

    def run_ended_elsewhere(self, label: str) -> None:
        """Called when another process has finished a run."""
        self.note(f"{label}: finished by another process")

    def note(self, message: str) -> None:
        """Called with any other message for the user."""


class Relay(Watcher):
    """Forwards every call to another watcher, except entering and leaving the context."""

    def __init__(self, watch: Watcher) -> None:
        self._watch = watch

    def study_started(self, name: str, runs: int, finished: int, epochs: int = 0, probed: Sequence[int] = ()) -> None:
        """Forward the call."""
        self._watch.study_started(name, runs, finished, epochs, probed)

    def worker(self, place: int) -> Watcher:
        """Forward the call."""
        return self._watch.worker(place)

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Forward the call."""
        self._watch.run_started(label, epochs, epoch)

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Forward the call."""
        self._watch.epoch_done(epoch, scores, probed)

    def run_finished(self, label: str, seconds: Mapping[str, float]) -> None:
        """Forward the call."""
        self._watch.run_finished(label, seconds)

    def run_lost(self, label: str, again: bool) -> None:
        """Forward the call."""
        self._watch.run_lost(label, again)

    def run_ended_elsewhere(self, label: str) -> None:
        """Forward the call."""
        self._watch.run_ended_elsewhere(label)

    def note(self, message: str) -> None:
        """Forward the call."""
        self._watch.note(message)
