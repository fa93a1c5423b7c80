"""Progress of a running study: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from elastic.progress.bars import Bars
from elastic.progress.lines import Lines
from elastic.progress.watcher import Relay, Watcher

__all__ = ["Bars", "Lines", "Relay", "Watcher", "counting", "watcher"]


def watcher() -> Watcher:
    """Return `Bars` if standard error is a terminal, else `Lines`."""
    return Bars() if sys.stderr.isatty() else Lines()


@contextmanager
def counting() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function ``(part, done, of)`` that moves a bar on a terminal and does nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda part, done, of: None
        return
    columns = (
        BarColumn(30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", style="dim", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda part, done, of: progress.update(task, description=part, completed=done, total=of)
