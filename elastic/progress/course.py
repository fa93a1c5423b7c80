"""How far a study is, and how long it takes to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


class Course:
    """Counts the runs and epochs of a study.

    Attributes
    ----------
    runs, finished
        Runs of the study, and those that have ended.
    planned, done
        Epochs that the runs which had not ended at the beginning plan, and how many of those are trained.
    begun
        When the count began, on the clock.

    Examples
    --------
    >>> seconds = iter([0.0, 10.0, 59.0])
    >>> course = Course(lambda: next(seconds))
    >>> course.start(runs=2, finished=0, epochs=200)
    >>> course.begin(0), course.train(1), course.remaining
    (None, None, None)
    >>> course.train(49)
    >>> f"{course.remaining:.0f} s"
    '150 s'
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.begun = clock()
        self.runs = self.finished = self.planned = 0
        self.done = 0.0
        self._clock = clock
        self._measured = 0
        self._per_run = 0.0
        self._first: float | None = None

    def start(self, runs: int, finished: int, epochs: int) -> None:
        """Enter the size of the study."""
        self.runs, self.finished, self.planned = runs, finished, epochs
        self._per_run = epochs / max(1, runs - finished)

    def begin(self, epoch: int) -> None:
        """Enter that a run begins or goes on after an epoch, which is not done again."""
        self.done += epoch

    def train(self, epochs: int) -> None:
        """Enter that so many more epochs of a run are done."""
        if epochs:
            self.done += epochs
            self._measured += epochs
            if self._first is None:
                self._first, self._measured = self._clock(), 0

    def leave(self, epoch: int, *, again: bool) -> None:
        """Enter that a run was left after an epoch; its epochs are counted once more if it is to go on."""
        self.done -= epoch
        if not again:
            self.done += self._per_run

    def end(self, epochs_left: float | None = None) -> None:
        """Enter that a run has ended, with so many epochs of its plan not trained here (None: all of them)."""
        self.finished += 1
        self.done += self._per_run if epochs_left is None else epochs_left

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self.begun

    @property
    def remaining(self) -> float | None:
        """Seconds to the end if it goes on as fast as since the first epoch, None until that can be told."""
        if self._first is None or not self._measured:
            return None
        rate = (self._clock() - self._first) / self._measured
        return rate * max(0, self.planned - self.done)


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


def left_in_words(seconds: float | None) -> str:
    """Return the time to the end of a study.

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
