"""Watching: a picture every few seconds until the study is sealed, or one picture."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
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

#: Seconds between two pictures.
INTERVAL = 2.0

#: Rows of a picture that is printed where there is no terminal.
PAPER = 60

#: Seconds for which a recorded study stays sealed before it counts as ended: each Recorder that closes seals it.
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
    """Draw the training curves and a metric by layer of the runs of a study until it is sealed.

    The study is only read. A study that has not begun is waited for.

    Parameters
    ----------
    path
        Folder of the study, or its name under ``results``.
    metric
        A variable that the runs record by layer.
    interval
        Seconds between two pictures.
    once
        Draw one picture; so it is without a terminal, too.
    console
        Where it is drawn; standard output by default.
    sleep
        Waits for so many seconds.

    Raises
    ------
    StudyError
        If there is no study and one picture is asked for, or the path is no folder.
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
    """Return a study once it has begun."""
    while True:
        try:
            return Watched(open_study(path), metric)
        except Damaged:
            raise
        except StudyError:
            if os.path.lexists(study_folder(path)) and not study_folder(path).is_dir():
                raise
        live.update(Text(f"{path}: no study there yet; waiting for it (Ctrl-C stops waiting)"), refresh=True)
        pause()


class Watched:
    """A study that is watched, and what was seen of it.

    Parameters
    ----------
    study
        Is only read.
    metric
        Drawn by layer.
    clock
        Gives seconds.
    """

    def __init__(self, study: Study, metric: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.study, self.metric = study, metric
        self._courses, self._clock = Courses(study, metric), clock
        self._began: tuple[float, float] | None = None
        self._sealed_since: float | None = None
        self._was_open = False

    def picture(self, console: Console, height: int | None = None, *, strict: bool = False) -> RenderableType:
        """Return the picture of this moment, for a console.

        What cannot be read is told in the picture, because it may be about to change; with ``strict`` it is raised.
        """
        colours = console.color_system is not None and not console.legacy_windows and console.encoding.startswith("utf")
        # The state of the seal first: a study that is sealed after its runs were read is drawn once more.
        sealed = self._look()
        runs, note = self._runs(strict)
        courses = []
        for status in shown_runs(runs, columns(console.width)):
            try:
                courses.append(self._courses.of(status))
            except StudyError as error:  # being recorded anew, or damaged
                if strict:
                    raise
                courses.append(Course(status))
                note = note or str(error)
        self._courses.check_metric()
        title = str(self.study.facts["protocol"].get("title") or self.study.name)
        shown = Picture(
            self.study.name, title, str(self.study.folder), runs, courses, self.metric, sealed, self._left(runs), note
        )
        height = (console.height if height is None else height) - 1
        return picture(shown, width=console.width, height=height, colours=colours)

    def has_ended(self) -> bool:
        """Return whether nothing more is to be seen: the study was sealed when the last picture was made."""
        if self._sealed_since is None:
            return False
        patience = PATIENCE if self.study.recorded and self._was_open else 0.0
        return self._clock() - self._sealed_since >= patience

    def _look(self) -> bool:
        sealed = is_sealed(self.study.folder)
        if not sealed:
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
        """Return how long it takes to the end if the study goes on as fast as while it was watched."""
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
    """Return the runs that are shown, in the order of the study: those under way, then those that have ended last.

    One that is waiting is shown where no other is.

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
