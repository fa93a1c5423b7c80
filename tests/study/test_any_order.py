"""Commands on a study in any order: what exits with 0 has the numbers of an uninterrupted serial run."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import forked

SEARCH = Path(__file__).parents[1] / "support" / "any_order.py"


@pytest.mark.parametrize(("examples", "commands"), [(2, 7), pytest.param(20, 15, marks=pytest.mark.long)])
def test_what_exits_with_0_has_the_numbers_of_an_uninterrupted_run(examples, commands, tmp_path):
    # More: python tests/support/any_order.py 200 30 7 (with tests/ on PYTHONPATH).
    done = forked.script(SEARCH, examples, commands, 0, limit=900, TMPDIR=tmp_path)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("hold") == 2
