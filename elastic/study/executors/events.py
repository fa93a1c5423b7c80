"""Events of a run in another process, sent to the process that displays them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from elastic.progress import Watcher


@dataclass(frozen=True)
class Event:
    """A call of a method of `Watcher`, with arguments that pipes and schedulers can send.

    Attributes
    ----------
    method
        Name of the method.
    arguments
        Text, numbers, and dicts of these.
    """

    method: str
    arguments: tuple[Any, ...]

    def deliver(self, watch: Watcher) -> None:
        """Call the method of a watcher.

        >>> from elastic.progress import Lines
        >>> import sys
        >>> Event("note", ("hello",)).deliver(Lines(sys.stdout))
        [    0.0s] hello
        """
        getattr(watch, self.method)(*self.arguments)


class EventSender(Watcher):
    """Sends each call as an `Event`.

    Parameters
    ----------
    send
        Receives the events, in order.
    between
        Seconds between two events of epochs without probes; epochs in between are skipped. A watcher counts
        epochs by their numbers.
    """

    def __init__(self, send: Callable[[Event], None], between: float = 0.0) -> None:
        self._send, self._between = send, between
        self._last = float("-inf")

    def run_started(self, label: str, epochs: int, epoch: int) -> None:
        """Send that a run starts or resumes."""
        self.emit("run_started", label, epochs, epoch)

    def epoch_done(self, epoch: int, scores: Mapping[str, float], probed: bool) -> None:
        """Send the scores of an epoch."""
        if probed or time.monotonic() - self._last >= self._between:
            self._last = time.monotonic()
            self.emit("epoch_done", epoch, numbers(scores), bool(probed))

    def run_finished(self, label: str, seconds: Mapping[str, float]) -> None:
        """Send that a run has ended."""
        self.emit("run_finished", label, numbers(seconds))

    def run_lost(self, label: str, again: bool) -> None:
        """Send that a run was stopped before its end."""
        self.emit("run_lost", label, again)

    def run_ended_elsewhere(self, label: str) -> None:
        """Send that another process has ended a run."""
        self.emit("run_ended_elsewhere", label)

    def note(self, message: str) -> None:
        """Send another message."""
        self.emit("note", message)

    def emit(self, method: str, *arguments: Any) -> None:
        """Send an event."""
        self._send(Event(method, arguments))


def numbers(scores: Mapping[str, float]) -> dict[str, float]:
    """Return scores as plain floats."""
    return {name: float(value) for name, value in scores.items()}
