"""How the worker processes of a local dask cluster end, which dask reports only in a log."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from elastic.study.executors.worker_process import in_words

#: Logger of the processes that start workers, and its message when one ends.
LOGGER = "distributed.nanny"
SAID = re.compile(r"Worker process (\d+) (?:was killed by signal (\d+)|exited with status (\d+))")

#: Seconds to wait for the log message after the scheduler has noticed a death.
PATIENCE = 2.0


class Deaths(logging.Handler):
    """Stores how processes ended.

    >>> deaths = Deaths()
    >>> _ = deaths.handle(logging.makeLogRecord({"msg": "Worker process 7 was killed by signal 9"}))
    >>> deaths.of(7)
    'killed by signal 9 (SIGKILL)'
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._codes: dict[int, int] = {}
        self._received = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        """Store how a process ended, if a log line reports it."""
        if match := SAID.match(record.getMessage()):
            process, number, status = match.groups()
            with self._received:
                self._codes[int(process)] = int(status) if number is None else -int(number)
                self._received.notify_all()

    def of(self, process: int | None) -> str | None:
        """Return how a process ended, completing "was …"; None if no message reports it."""
        with self._received:
            if process is None or not self._received.wait_for(lambda: process in self._codes, PATIENCE):
                return None
            return in_words(self._codes[process])


@contextmanager
def listening() -> Iterator[Deaths]:
    """Store the deaths of workers that this process's clusters start."""
    deaths, logger = Deaths(), logging.getLogger(LOGGER)
    before = logger.level
    logger.addHandler(deaths)
    if not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)
    try:
        yield deaths
    finally:
        logger.removeHandler(deaths)
        logger.setLevel(before)
