"""Progress of a study in epochs, and its remaining time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from elastic.progress.epoch_times import EpochTimes


class Course:
    """Counts the runs and epochs of a study.

    Attributes
    ----------
    runs, finished
        Number of runs, and of those that have ended.
    planned, done
        Epochs of the runs that had not ended at the start, and how many of them are trained.
    begun
        Time at which counting started.

    Examples
    --------
    >>> seconds = iter([0.0, 60.0])
    >>> course = Course(lambda: next(seconds))
    >>> course.start(runs=2, finished=0, epochs=200)
    >>> course.begin(0), course.remaining
    (None, None)
    >>> course.train(50, seconds=50.0)
    >>> f"{course.remaining:.0f} s"
    '150 s'
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.begun = clock()
        self.runs = self.finished = self.planned = 0
        self.done = 0.0
        self._clock = clock
        self._per_run = 0.0
        self._probed: Sequence[int] = ()
        self._probes_done = 0
        self._times = EpochTimes()
        self._first: float | None = None
        self._last = 0.0

    def start(self, runs: int, finished: int, epochs: int, probed: Sequence[int] = ()) -> None:
        """Set the size of the study, and the probed epochs of each run; none if runs differ in them."""
        self.runs, self.finished, self.planned, self._probed = runs, finished, epochs, probed
        self._per_run = epochs / max(1, runs - finished)

    def begin(self, epoch: int) -> None:
        """Count a run that starts, or resumes after an epoch."""
        self.done += epoch
        self._probes_done += self._probes_until(epoch) if epoch else 0

    def train(self, epochs: int, *, probed: bool = False, seconds: float = 0.0) -> None:
        """Count trained epochs of a run, which took so many seconds; of these epochs only the last may be probed."""
        self.done += epochs
        self._probes_done += probed
        if not epochs:  # before the first epoch, engines are chosen
            return
        self._last = self._clock()
        if self._first is None:
            self._first = self._last - seconds
        self._times.add(seconds, epochs, probed=probed and bool(self._probed))

    def leave(self, epoch: int, *, again: bool) -> None:
        """Count a run that stopped after an epoch; its epochs count again if it will resume."""
        self.done -= epoch
        self._probes_done -= self._probes_until(epoch) if epoch else 0
        if not again:
            self.done += self._per_run
            self._probes_done += len(self._probed)

    def end(self, epochs_left: float | None = None) -> None:
        """Count an ended run, with the number of its planned epochs not trained here (None: all of them)."""
        self.finished += 1
        self.done += self._per_run if epochs_left is None else epochs_left
        trained = 0 if epochs_left is None else self._probes_until(self._per_run - epochs_left)
        self._probes_done += len(self._probed) - trained

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self.begun

    @property
    def remaining(self) -> float | None:
        """Remaining seconds at the speed since the first epoch, of epochs with and without probes; None if unknown."""
        epochs = max(0.0, self.planned - self.done)
        probes = max(0, len(self._probed) * round(self.planned / max(1.0, self._per_run)) - self._probes_done)
        kinds = self._times.of_kinds(every=probes >= epochs)
        if self._first is None or kinds is None:
            return None
        at_a_time = self._times.seconds / max(self._last - self._first, 1e-9)  # runs of several workers
        return (kinds[0] * epochs + kinds[1] * probes) / max(at_a_time, 1e-9)

    def _probes_until(self, epoch: float) -> int:
        return sum(known <= epoch for known in self._probed)


def in_words(scores: Mapping[str, float]) -> str:
    """Format scores.

    >>> in_words({"train loss": 0.01234, "test accuracy": 0.975})
    'train loss 0.0123, test accuracy 0.975'
    """
    return ", ".join(f"{name} {value:.3g}" for name, value in scores.items())


def seconds_in_words(seconds: Mapping[str, float]) -> str:
    """Format how long each phase of a run took.

    >>> seconds_in_words({"training": 6.12, "writing": 0.5})
    '6.1 s training, 0.5 s writing'
    """
    return ", ".join(f"{value:.1f} s {part}" for part, value in seconds.items())


def left_in_words(seconds: float | None) -> str:
    """Format the remaining time of a study.

    >>> [left_in_words(seconds) for seconds in (None, 42.0, 200.0, 11700.0, 200000.0)]
    ['', 'about 42 s left', 'about 3 min left', 'about 3 h 15 min left', 'about 2 d 8 h left']
    """
    if seconds is None:
        return ""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 90:
        return f"about {seconds:.0f} s left"
    if minutes < 90:
        return f"about {minutes} min left"
    if minutes < 48 * 60:
        return f"about {minutes // 60} h {minutes % 60} min left"
    return f"about {hours // 24} d {hours % 24} h left"
