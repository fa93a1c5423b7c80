"""Entry point of ``elastic``: one-line errors and documented exit codes.

Signal handlers are installed before libraries are imported, which takes seconds on a busy machine: a signal during the
imports ends the program with its exit code and one line, too.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

#: Signals that stop a command, if the system has them and the process does not ignore them.
STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def main() -> None:
    """Run the command line and exit with its code."""
    before = handled_by(leave)
    # By default OpenMP's threads spin for milliseconds while they wait, which makes training of a small network more
    # than ten times slower on cores shared with another busy process. Read once, when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    # This process and its workers need not load torch's compiler (`elastic.uncompiled`).
    os.environ.setdefault("ELASTIC_OWN_PROCESS", "1")
    # Libraries make a million objects when they are loaded, none of them garbage. The collector goes through all that
    # there are, and after every 700 new ones, which is the default, this takes a tenth of a short command's time.
    gc.set_threshold(10_000)
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
    """Install a handler for the signals that stop a command and return the previous handlers.

    Ignored signals stay ignored: a script's background process (``&``) ignores Ctrl-C, one under ``nohup`` ignores the
    end of its terminal. Only the main thread can install handlers.
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
    """Exit at once: while libraries are loaded nothing has started."""
    os.write(2, b"elastic: stopped; run the same command to resume\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
