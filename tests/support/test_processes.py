"""The limits themselves: a hang ends, and Ctrl-C reaches a process whatever this one ignores."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from elastic.cube.owner import has_ended
from support import processes

TESTS = Path(__file__).parents[1]

#: Run by hand, not by pytest; or what gives processes their limits.
SCRIPTS = {
    *(TESTS / "support" / name for name in ("processes.py", "forked.py")),
    *(TESTS / "scripts").iterdir(),
    *(TESTS / "benchmarks").iterdir(),
}

SLEEP = [sys.executable, "-c", "print('here', flush=True); import time; time.sleep(600)"]


def test_a_process_that_hangs_is_killed_and_a_read_from_it_ends():
    with (
        pytest.raises(AssertionError, match="killed after 1 s"),
        processes.started(SLEEP, limit=0.6, stdout=subprocess.PIPE) as hanging,
    ):
        hanging.stdout.read()
    assert hanging.returncode == -signal.SIGKILL


def test_children_of_a_process_end_with_it():
    done = processes.run(["sh", "-c", "sleep 600 > /dev/null 2>&1 & echo $!"])
    deadline = time.monotonic() + 60
    while not has_ended(int(done.stdout), ""):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("state", ["ignored", "blocked", "default"])
def test_ctrl_c_reaches_a_process_whatever_this_one_ignores(state):
    before = signal.getsignal(signal.SIGINT)
    try:
        if state == "ignored":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if state == "blocked":
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        handler = signal.getsignal(signal.SIGINT)  # ignored, too, where a script started pytest with `&`
        with processes.started(SLEEP, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout.readline() == b"here\n"
            process.send_signal(signal.SIGINT)
            process.wait()
        assert process.returncode == -signal.SIGINT
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        signal.signal(signal.SIGINT, before)


def test_a_wait_inside_of_a_library_has_a_limit():
    with pytest.raises(AssertionError, match="not done"), processes.time_limit(0.05):
        time.sleep(600)
    with processes.time_limit(60):
        pass


#: How names of calls begin that start a process.
STARTERS = ("subprocess.", "multiprocessing.", "os.system", "os.popen")


def starts(source):
    """Return the calls of a module that start a process."""
    called = {ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)}
    return sorted(name for name in called if name.startswith(STARTERS))


def test_no_test_starts_a_process_without_a_limit():
    sources = {path: path.read_text(encoding="utf-8") for path in sorted({*TESTS.rglob("*.py")} - SCRIPTS)}
    assert len(sources) > 300
    named = {path: source for path, source in sources.items() if any(name in source for name in STARTERS)}
    assert {path.relative_to(TESTS): result for path, source in named.items() if (result := starts(source))} == {}


def test_a_start_is_seen_wherever_it_stands():
    assert starts("def f():\n    return [subprocess.run(['x']) for _ in g(os.popen('y'))]") == [
        "os.popen",
        "subprocess.run",
    ]
