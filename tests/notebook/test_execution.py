"""What a signal does while a notebook is executed."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

pytest.importorskip("nbclient")

from nbformat.v4 import new_code_cell, new_notebook

from elastic.errors import Stopped
from elastic.notebook.execution import executed


def test_a_signal_ends_the_execution_and_its_kernel_and_keeps_its_handler(tmp_path):
    def stop(number, _frame):
        raise Stopped(number)

    begun = tmp_path / "kernel"

    def send():
        while not (begun.exists() and begun.read_text()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    cell = f"import os, pathlib, time; pathlib.Path({str(begun)!r}).write_text(str(os.getpid())); time.sleep(100)"
    before = signal.signal(signal.SIGTERM, stop)
    try:
        threading.Thread(target=send, daemon=True).start()
        with pytest.raises(Stopped):
            executed(new_notebook(cells=[new_code_cell(cell)]), tmp_path)
        assert signal.getsignal(signal.SIGTERM) is stop
    finally:
        signal.signal(signal.SIGTERM, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)
