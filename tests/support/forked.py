"""Commands of elastic in processes that are forked where torch is loaded already, instead of starting an interpreter.

An interpreter takes five seconds to import what `elastic run` needs, which is `preloaded` here. Where a test is not
about that, its commands are processes of their own all the same: with a process id, signals, a working directory and
streams.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

from support import processes

_PRELOADED = ["support.preloaded", "support.forked"]


def _server():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


class Worker:
    """A worker of `elastic.study.executors`, with what its owner needs of `subprocess.Popen`."""

    def __init__(self, connection, environment):
        target = (connection, {**os.environ, **environment})
        self._process = _server().Process(target=_work, args=target, daemon=True)
        self._process.start()

    @property
    def returncode(self):
        return self._process.exitcode

    poll = returncode.fget

    def wait(self, timeout=None):
        self._process.join(timeout)
        return self.returncode

    def kill(self):
        self._process.kill()


class ForkedChild:
    """A process that is forked for a piece of work, with what its owner needs of `subprocess.Popen`."""

    def __init__(self, work):
        self.returncode = None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                work()
            finally:
                os._exit(70)

    def poll(self):
        if self.returncode is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.returncode = os.waitstatus_to_exitcode(ended[1])
        return self.returncode

    def wait(self, timeout=None):
        while self.poll() is None:
            time.sleep(0.001)
        return self.returncode

    def kill(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


class WorkerOfCommand(ForkedChild):
    """A worker that a forked command forks in its turn.

    Like an interpreter that the owner starts, it has none of its owner's files open but its end of the pipe.
    """

    def __init__(self, connection, environment):
        def work():
            os.closerange(3, connection.fileno())
            os.closerange(connection.fileno() + 1, 1024)
            _work(connection, environment)

        super().__init__(work)


class Forked:
    """A command that runs in a forked process, with what a test needs of `subprocess.Popen`."""

    def __init__(self, arguments, cwd, terminal):
        context = _server()
        ours, theirs = context.Pipe(duplex=False)
        shown = terminal and context.reducer.DupFd(terminal)
        target = (theirs, shown, [str(part) for part in arguments], str(cwd))
        with theirs, ours:
            self._process = context.Process(target=_main, args=target, daemon=False)
            self._process.start()
            self.stderr = os.fdopen(os.dup(ours.fileno()), encoding="utf-8", errors="replace")
        self.pid = self._process.pid

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self._process.kill()

    def poll(self):
        return self._process.exitcode

    def wait(self):
        self._process.join()
        return self._process.exitcode


@contextmanager
def started(*arguments, cwd, terminal=None, limit=processes.LIMIT):
    """Run ``elastic`` with arguments in a forked process; kill its group after the block, or when its time is over.

    Its workers are forked from it. What it writes goes to a terminal, if one is given by its descriptor; else what it
    writes to standard error is read by the test.
    """
    with processes.default_signals():
        process = Forked(arguments, cwd, terminal)
    overdue = threading.Event()

    def stop():
        overdue.set()
        _kill_group(process)

    timer = threading.Timer(limit, stop)
    timer.daemon = True
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        _kill_group(process)
        process.wait()
        process.stderr.close()
        assert not overdue.is_set(), f"killed after {limit:.0f} s: {arguments}"


def script(path, *arguments, limit=processes.LIMIT, **environment):
    """Run a script to its end in a forked process; return its `subprocess.CompletedProcess`, all it wrote in stdout.

    The script may fork itself: no thread is alive where it begins. Its environment is that of this process with the
    variables given.
    """
    environment = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    words = [str(part) for part in (path, *arguments)]
    with tempfile.TemporaryFile() as written, processes.default_signals():
        copy = _server().reducer.DupFd(written.fileno())
        process = _server().Process(target=_script, args=(copy, words, environment), daemon=False)
        process.start()
        process.join(limit)
        is_overdue = process.exitcode is None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what it has left running too
        process.join()
        written.seek(0)
        result = written.read().decode(errors="replace")
    assert not is_overdue, f"killed after {limit:.0f} s: {words}\n{result}"
    return subprocess.CompletedProcess(words, process.exitcode, result, "")


def _script(written, words, environment):
    os.setsid()
    os.environ.update(environment)
    tempfile.tempdir = None  # it is found anew, in this environment
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    given = written.detach()
    for number in (1, 2):
        os.dup2(given, number)
    sys.argv = words
    try:
        runpy.run_path(words[0], run_name="__main__")
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _kill_group(process):
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()


def _work(connection: Connection, environment):
    os.environ.update(environment)
    sys.path[:] = connection.recv()
    from elastic.study.executors.worker import work_for

    work_for(connection)


def _main(stderr: Connection, terminal, arguments, cwd):
    os.setsid()
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    shown = terminal and terminal.detach()
    os.dup2(shown or os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(shown or stderr.fileno(), 2)
    stderr.close()
    if shown:
        os.close(shown)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    os.chdir(cwd)
    sys.argv = ["elastic", *arguments]
    from elastic.__main__ import main
    from elastic.study.executors import worker_process

    worker_process._started = WorkerOfCommand
    main()
