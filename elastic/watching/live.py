"""Redraws a running study every few seconds until it is sealed, or draws it once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from elastic.cube import is_sealed
from elastic.errors import Damaged, StudyError
from elastic.progress.course import left_in_words
from elastic.study import RunStatus, Study, open_study, study_folder
from elastic.watching.courses import Course, Courses
from elastic.watching.screen import Picture, columns, picture

#: Default seconds between updates.
INTERVAL = 2.0

#: Rows of the output without a terminal.
PAPER = 60

#: Seconds after which a sealed recorded study counts as ended: every Recorder that closes seals it.
PATIENCE = 10.0


def watch(
    path: Path | str,
    *,
    metric: str = "nc1",
    interval: float = INTERVAL,
    once: bool = False,
    console: Console | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Draw the training curves and a metric by layer of a study's runs until it is sealed.

    Only reads the study. Waits for a study that has not started.

    Parameters
    ----------
    path
        Folder of the study, or its name under ``results``.
    metric
        Variable to draw by layer.
    interval
        Seconds between updates.
    once
        Draw once; the default without a terminal.
    console
        Output; standard output by default.
    sleep
        Function that waits for a number of seconds.

    Raises
    ------
    StudyError
        If there is no study and ``once`` is set, or the path is not a folder.
    Damaged
        If study.json or protocol.yaml is damaged.
    NotMeasured
        If the runs do not record the metric.
    """
    console = console or Console()
    if once or not console.is_terminal:
        height = console.height if console.is_terminal else PAPER
        console.print(Watched(open_study(path), metric).picture(console, height, strict=True))
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        watched = _begun(path, metric, live, lambda: sleep(interval))
        while True:
            live.update(watched.picture(console), refresh=True)
            if watched.has_ended():
                break
            sleep(interval)
    console.print(watched.picture(console))


def _begun(path: Path | str, metric: str, live: Live, pause: Callable[[], None]) -> Watched:
    """Wait until a study has started and return it."""
    while True:
        try:
            return Watched(open_study(path), metric)
        except Damaged:
            raise
        except StudyError:
            if os.path.lexists(study_folder(path)) and not study_folder(path).is_dir():
                raise
        live.update(Text(f"{path}: no study there yet; waiting (Ctrl-C to stop)"), refresh=True)
        pause()


class Watched:
    """A watched study and its state when it was last drawn.

    Parameters
    ----------
    study
        The study; its folder is only read.
    metric
        Variable to draw by layer.
    clock
        Function that returns the time in seconds.
    """

    def __init__(self, study: Study, metric: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.study, self.metric = study, metric
        self._courses, self._clock = Courses(study, metric), clock
        self._began: tuple[float, float] | None = None
        self._sealed_since: float | None = None
        self._was_open, self._is_old = False, False

    def picture(self, console: Console, height: int | None = None, *, strict: bool = False) -> RenderableType:
        """Return the current screen for a console.

        Read errors are shown on the screen, because the files may be changing; with ``strict`` they are raised.
        """
        colours = console.color_system is not None and not console.legacy_windows and console.encoding.startswith("utf")
        # Read the seal before the runs: a study sealed in between is drawn once more.
        sealed = self._look()
        runs, note = self._runs(strict)
        courses = []
        for status in shown_runs(runs, columns(console.width)):
            try:
                courses.append(self._courses.of(status))
            except StudyError as error:  # being restarted, or damaged
                if strict:
                    raise
                courses.append(Course(status))
                note = note or str(error)
        self._courses.check_metric()
        title = str(self.study.facts["protocol"].get("title") or self.study.name)
        names, left = (self.study.name, title, str(self.study.folder)), self._left(runs)
        shown = Picture(*names, runs, courses, self.metric, sealed, left, note, old=self._is_old)
        height = (console.height if height is None else height) - 1
        return picture(shown, width=console.width, height=height, colours=colours)

    def has_ended(self) -> bool:
        """Return whether the study was already sealed when it was last drawn."""
        if self._sealed_since is None:
            return False
        patience = PATIENCE if self.study.recorded and self._was_open else 0.0
        return self._clock() - self._sealed_since >= patience

    def _look(self) -> bool:
        sealed, self._is_old = False, False
        with suppress(StudyError):  # files that change, or are damaged: reading the runs says so
            sealed = self.study.has_current_seal
            self._is_old = not sealed and is_sealed(self.study.folder)
        # The runs of an old seal may all have ended: no process will seal them.
        if not sealed and not (self._is_old and all(run.ended for run in self._runs(strict=False)[0])):
            self._sealed_since, self._was_open = None, True
        elif self._sealed_since is None:
            self._sealed_since = self._clock()
        return sealed

    def _runs(self, strict: bool) -> tuple[list[RunStatus], str]:
        try:
            return self.study.runs(), ""
        except StudyError as error:
            if strict:
                raise
            return [], str(error)

    def _left(self, runs: list[RunStatus]) -> str:
        """Return the remaining time at the speed observed since watching began."""
        if not runs or any(run.epochs is None and run.state != "waiting" for run in runs):
            return ""
        planned = max((run.epochs or 0 for run in runs), default=0)
        done = float(sum((run.epochs or planned) if run.ended else run.epoch or 0 for run in runs))
        whole = float(sum(run.epochs or planned for run in runs))
        if self._began is None:
            self._began = (self._clock(), done)
        seconds, epochs = self._clock() - self._began[0], done - self._began[1]
        return left_in_words(seconds / epochs * (whole - done)) if epochs >= 3 and whole > done else ""


def shown_runs(runs: list[RunStatus], most: int) -> list[RunStatus]:
    """Select the runs to show, in the order of the study: running ones first, then those that ended last.

    A waiting run is shown only if there is no other.

    >>> states = ("done", "done", "under way", "waiting")
    >>> runs = [RunStatus({"seed": seed}, str(seed), state, 1, 2, {}) for seed, state in enumerate(states)]
    >>> [run.cell for run in shown_runs(runs, 2)]
    ['1', '2']
    >>> [run.cell for run in shown_runs(runs, 9)]
    ['0', '1', '2']
    """
    begun = [place for place, run in enumerate(runs) if run.state != "waiting"]
    order = sorted(begun, key=lambda place: (runs[place].ended, -place if runs[place].ended else place))
    return [runs[place] for place in sorted(order[:most])] or list(runs[:1])
