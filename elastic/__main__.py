"""Run ``elastic`` as a program: every error in one sentence, exit codes that scripts can read.

==========  ============================================================================================
0           done, or intact
1           a claim is refuted, or a reproduction differs (`elastic.cli` alone exits so)
2           a mistake of the user's, or a file that cannot be read or written
3           a run failed; the others are kept
4           a file of a study is damaged
70          an error of elastic's own, whose traceback is kept in a file
128 + n     stopped by signal n: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP
==========  ============================================================================================
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from typing import TextIO

from elastic.errors import ElasticError, Stopped

#: Exit codes beside those that errors have themselves (`elastic.errors.ElasticError.exit_code`); 70 is EX_SOFTWARE.
MISTAKE, INTERNAL, SIGNAL = 2, 70, 128


def main() -> None:
    """Run the command line and exit with its code."""
    # OpenMP's threads wait for each other by spinning for milliseconds unless told otherwise before torch is loaded.
    # On cores that are shared with another busy process a small network then trains more than ten times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    with stopped_by_signals():
        end_with_code()


def end_with_code() -> None:
    """Run the command line and exit with its code, whatever it raises."""
    replace_what_cannot_be_shown(sys.stdout)
    replace_what_cannot_be_shown(sys.stderr)
    try:
        from elastic.cli import cli  # here, because Ctrl-C may come while it is loaded

        cli(prog_name="elastic")
        sys.stdout.flush()  # here, because a reader that has gone or a full disk is met only now
    except BrokenPipeError:  # `elastic list | head`: whoever read has what they wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (Exception, KeyboardInterrupt) as error:
        code, told = ended_by(error)
        try:
            print(f"elastic: {told}", file=sys.stderr, flush=True)
        except OSError:  # the terminal has been closed; what is left in the buffer must not fail once more at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.exit(code)


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP, by which clusters and closed terminals end a process, raise `Stopped` as Ctrl-C does."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGHUP) if in_main_thread else ()
    deadly = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]  # others are ignored: nohup
    for number in deadly:
        signal.signal(number, _raise_stopped)
    try:
        yield
    finally:
        for number in deadly:
            signal.signal(number, signal.SIG_DFL)


def _raise_stopped(number: int, _frame: object) -> None:
    raise Stopped(number)


def ended_by(error: BaseException) -> tuple[int, str]:
    """Return the exit code after an error, and the sentence that tells of it.

    >>> ended_by(KeyboardInterrupt()), ended_by(Stopped(signal.SIGTERM))[0]
    ((130, 'stopped; the same command goes on from here'), 143)
    >>> ended_by(PermissionError(13, "Permission denied", "/root/a.html"))
    (2, '/root/a.html should be usable; found Permission denied; try another path, or its permissions (ls -ld)')
    """
    if isinstance(error, ElasticError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt):
        number = error.signal if isinstance(error, Stopped) else signal.SIGINT
        return SIGNAL + number, "stopped; the same command goes on from here"
    if isinstance(error, OSError) and error.strerror:
        path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "a file or a pipe"
        hint = "another path, or its permissions (ls -ld)" if error.filename else "freeing space, or another output"
        return MISTAKE, f"{path} should be usable; found {error.strerror}; try {hint}"
    found = f"{type(error).__name__}: {error}".partition("\n")[0]
    hint = f"reporting it with {kept_traceback(error)}"
    return INTERNAL, f"the command should raise no error of its own; found {found}; try {hint}"


def kept_traceback(error: BaseException) -> str:
    """Write the traceback of an error into a temporary file and return its path, or its place if there is no file."""
    lines = "".join(traceback.format_exception(error))
    try:
        descriptor, path = tempfile.mkstemp(prefix="elastic-traceback-", suffix=".txt")
        with open(descriptor, "wb") as file:  # noqa: PTH123  (a descriptor)
            file.write(lines.encode(errors="replace"))
    except OSError:
        last = traceback.extract_tb(error.__traceback__)[-1:]
        return f"its place, {last[0].filename}:{last[0].lineno}" if last else "the command"
    return path


def replace_what_cannot_be_shown(stream: TextIO) -> None:
    """Let a stream write a substitute for each character that its encoding lacks: on an ASCII terminal, →."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None and getattr(stream, "errors", None) in ("strict", "surrogateescape"):
        reconfigure(errors="replace")


if __name__ == "__main__":
    main()
