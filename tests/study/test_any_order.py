"""Commands on a study in any order: what exits with 0 has the numbers of an uninterrupted serial run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support import processes

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize(("examples", "commands"), [(2, 7), pytest.param(20, 15, marks=pytest.mark.long)])
def test_what_exits_with_0_has_the_numbers_of_an_uninterrupted_run(examples, commands, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    # More: python tests/support/any_order.py 200 30 7 (with tests/ on PYTHONPATH).
    done = processes.run(
        [sys.executable, TESTS / "support" / "any_order.py", examples, commands, 0], limit=900, env=environment
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert done.stdout.count("hold") == 2
