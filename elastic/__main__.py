"""Run ``elastic`` as a program: every error in one sentence, exit codes that scripts can read.

Little is imported before the handlers of signals are there: a signal that comes while libraries are loaded, which takes
seconds on a busy machine, ends the program with its exit code and one line, too.
"""

from __future__ import annotations

import os
import signal
import sys

#: Signals that stop a command, where the system has them and nobody has the process ignore them.
STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def main() -> None:
    """Run the command line and exit with its code."""
    before = handled_by(leave)
    # OpenMP's threads wait for each other by spinning for milliseconds unless told otherwise before torch is loaded.
    # On cores that are shared with another busy process a small network then trains more than ten times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    # This process and its workers need not load torch's compiler (`elastic.uncompiled`).
    os.environ.setdefault("ELASTIC_OWN_PROCESS", "1")
    try:
        from elastic.ending import end_quietly, run_to_its_end

        code = run_to_its_end(handled_by)
        end_quietly()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if code:
        sys.exit(code)


def handled_by(handler: Callable[[int, Any], None]) -> dict[int, Any]:
    """Let a function handle the signals that stop a command, and return what did before.

    A signal that is ignored stays so: a program that a script starts with ``&`` does not get Ctrl-C, one that was
    started with ``nohup`` outlives its terminal. Other threads than the main one cannot handle signals.
    """
    before: dict[int, Any] = {}
    for number in (getattr(signal, name) for name in STOPPING if hasattr(signal, name)):
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            try:
                before[number] = signal.signal(number, handler)
            except ValueError:  # not the main thread
                break
    return before


def leave(number: int, _frame: object) -> None:
    """End the process at once: nothing is begun while libraries are loaded."""
    os.write(2, b"elastic: stopped; the same command goes on from here\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
