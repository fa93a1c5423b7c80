"""Processes that tests start: each has a time limit, and meets signals as at a terminal.

A test run that a script starts with ``&`` ignores Ctrl-C, and whatever it starts would inherit that. Every process here
is started with the default action for signals, leads a group of its own, and is killed with that group when the test
leaves its block, or when the time is over: a read from its pipe ends then, too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import contextmanager, suppress

#: Seconds that a process may take. It bounds a hang, and says nothing about speed.
LIMIT = 300.0

_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM)


@contextmanager
def started(command, *, limit=LIMIT, **options):
    """Start a process and give its `subprocess.Popen`; raise an AssertionError if it was killed for its time.

    Options are those of `subprocess.Popen`.
    """
    with default_signals():
        process = subprocess.Popen([str(part) for part in command], start_new_session=True, **options)
    overdue = threading.Event()

    def stop():
        overdue.set()
        kill(process)

    timer = threading.Timer(limit, stop)
    timer.daemon = True
    timer.start()
    try:
        with process:
            try:
                yield process
            finally:
                if not overdue.is_set():
                    kill(process)
    finally:
        timer.cancel()
        assert not overdue.is_set(), f"killed after {limit:.0f} s: {command}"


def run(command, *, limit=LIMIT, input=None, check=False, **options):
    """Run a process to its end and return its `subprocess.CompletedProcess`, with what it wrote, as text."""
    pipes = {"stdin": subprocess.PIPE if input is not None else subprocess.DEVNULL, "stdout": subprocess.PIPE}
    with started(command, limit=limit, **{**pipes, "stderr": subprocess.PIPE, "text": True, **options}) as process:
        out, error = process.communicate(input)
    done = subprocess.CompletedProcess(process.args, process.returncode, out, error)
    assert not check or done.returncode == 0, f"{out}{error}"
    return done


def kill(process):
    """Kill a process and all of its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def default_signals():
    """Let what is started in the block inherit no ignored and no blocked signal."""
    ignored = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_IGN]
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    for number in ignored:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@contextmanager
def time_limit(seconds=LIMIT):
    """Raise an AssertionError in the main thread if a block that waits inside of a library takes longer."""

    def end(_signal, _frame):
        raise AssertionError(f"not done after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
