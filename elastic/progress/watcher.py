"""Who is told how a study goes."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType


class Watcher:
    """Is told how a study goes; this one says nothing.

    Used as a context manager around a whole study. Of one run its methods are called in their order, ``run_started``
    first; the runs of several workers are told to the watchers that `worker` returns, all in the same thread.
    """

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def study_started(self, name: str, runs: int, finished: int, epochs: int = 0) -> None:
        """Tell how many runs the study has, how many were finished before, and how many epochs the others plan."""

    def worker(self, place: int) -> Watcher:
        """Return who is told of the runs of one of several workers; ``place`` counts from 0."""
        return self

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Tell that a run begins, or goes on after ``epoch``."""

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Tell that an epoch is trained, measured and recorded."""

    def run_finished(self, label: str, seconds: Mapping[str, float]) -> None:
        """Tell that a run is done, and where its seconds went."""

    def run_lost(self, label: str, again: bool) -> None:
        """Tell that a run was left before its end, and whether it is to go on: it was stopped, failed or died."""

    def run_ended_elsewhere(self, label: str) -> None:
        """Tell that another process has ended a run."""
        self.note(f"{label}: finished by another process")

    def note(self, message: str) -> None:
        """Tell something else that the user should know."""


class Relay(Watcher):
    """Passes on what it is told, but for the beginning and the end."""

    def __init__(self, watch: Watcher) -> None:
        self._watch = watch

    def study_started(self, name: str, runs: int, finished: int, epochs: int = 0) -> None:
        """Pass it on."""
        self._watch.study_started(name, runs, finished, epochs)

    def worker(self, place: int) -> Watcher:
        """Pass it on."""
        return self._watch.worker(place)

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Pass it on."""
        self._watch.run_started(label, epochs, epoch)

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Pass it on."""
        self._watch.epoch_done(epoch, scores, probed)

    def run_finished(self, label: str, seconds: Mapping[str, float]) -> None:
        """Pass it on."""
        self._watch.run_finished(label, seconds)

    def run_lost(self, label: str, again: bool) -> None:
        """Pass it on."""
        self._watch.run_lost(label, again)

    def run_ended_elsewhere(self, label: str) -> None:
        """Pass it on."""
        self._watch.run_ended_elsewhere(label)

    def note(self, message: str) -> None:
        """Pass it on."""
        self._watch.note(message)
