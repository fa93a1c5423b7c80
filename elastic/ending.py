"""Exit codes and error messages of the command line.

==========  ============================================================================================
0           success; files are intact
1           a claim is refuted, or a reproduction differs (`elastic.cli` alone exits so)
2           invalid input, or a file that cannot be read or written
3           a run failed; the others are kept
4           a file of a study is damaged
70          a bug in elastic; its traceback is written to a file
128 + n     stopped by signal n: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP
==========  ============================================================================================
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from elastic.errors import ElasticError, Stopped

#: Exit codes beside those that errors have themselves (`elastic.errors.ElasticError.exit_code`); 70 is EX_SOFTWARE.
MISTAKE, INTERNAL, SIGNAL = 2, 70, 128

#: The one library that commands may lack: an installation that only reads studies has all others.
TORCH = "torch"


def run_to_its_end(handled_by: Callable[[Callable[[int, Any], None]], object]) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    handled_by
        Lets a function handle the signals that stop a command; called once the libraries are loaded.
    """
    open_what_is_closed()
    replace_what_cannot_be_shown(sys.stdout)
    replace_what_cannot_be_shown(sys.stderr)
    asked: list[int] = []

    def stop(number: int, _frame: object) -> None:
        asked.append(number)
        raise Stopped(number)

    try:
        from elastic.cli import cli

        handled_by(stop)
        cli(prog_name="elastic")
        sys.stdout.flush()  # here, because a reader that has gone or a full disk is met only now
    except BrokenPipeError:  # `elastic list | head`: the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except (Exception, KeyboardInterrupt) as error:
        # An import in C++ that a signal interrupts ends with an ImportError.
        code, message = ended_by(Stopped(asked[-1]) if asked else error)
        try:
            print(f"elastic: {message}", file=sys.stderr, flush=True)
        except OSError:  # the terminal has been closed; what is left in the buffer must not fail once more at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        return code
    return 0


def ended_by(error: BaseException) -> tuple[int, str]:
    """Return the exit code and the message for an error.

    >>> ended_by(KeyboardInterrupt()), ended_by(Stopped(signal.SIGTERM))[0]
    ((130, 'stopped; run the same command to resume'), 143)
    >>> ended_by(ModuleNotFoundError("No module named 'torch'", name="torch"))[0]
    2
    >>> ended_by(PermissionError(13, "Permission denied", "/root/a.html"))
    (2, '/root/a.html should be usable; found Permission denied; try another path, or its permissions (ls -ld)')
    """
    if isinstance(error, ElasticError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt):
        number = error.signal if isinstance(error, Stopped) else signal.SIGINT
        return SIGNAL + number, "stopped; run the same command to resume"
    if isinstance(error, OSError) and error.strerror:
        path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "a file or a pipe"
        hint = "another path, or its permissions (ls -ld)" if error.filename else "freeing space, or another output"
        return MISTAKE, f"{path} should be usable; found {error.strerror}; try {hint}"
    if isinstance(error, ModuleNotFoundError) and error.name == TORCH:
        hint = "pip install torch; reading, checking, drawing and exporting a study need none"
        return MISTAKE, f"this command should find PyTorch; found no module named {TORCH}; try {hint}"
    found = f"{type(error).__name__}: {error}".partition("\n")[0]
    hint = f"reporting it with {kept_traceback(error)}"
    return INTERNAL, f"the command should run without an internal error; found {found}; try {hint}"


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


def open_what_is_closed() -> None:
    """Let streams that the process was started without (``>&-``) lead nowhere.

    Otherwise the next file that is opened gets the stream's number, and what a library writes to the stream.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        with contextlib.suppress(OSError):
            try:
                os.fstat(number)
            except OSError:
                descriptor = os.open(os.devnull, os.O_RDWR)
                if descriptor != number:
                    os.dup2(descriptor, number)
                    os.close(descriptor)
        setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: PTH123, SIM115


def replace_what_cannot_be_shown(stream: TextIO) -> None:
    """Let a stream write a substitute for each character that its encoding lacks: on an ASCII terminal, →."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None and getattr(stream, "errors", None) in ("strict", "surrogateescape"):
        reconfigure(errors="replace")


def end_quietly() -> None:
    """Let Ctrl-C change nothing any more once the interpreter ends: the command is done."""
    if threading.current_thread() is threading.main_thread():
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
