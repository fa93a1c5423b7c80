"""One process seals at a time: another one waits, says so, and stops at Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from support import processes
from support.locks_alone import LOCKS_ALONE

import elastic
from elastic.cube import is_sealed, verify_manifest

ROOT = Path(elastic.__file__).parents[1]
OWNER = f"""{LOCKS_ALONE}
from pathlib import Path
from elastic.cube import waiting_lock
with waiting_lock(Path(sys.argv[1]) / ".sealing.lock", "seal the cube"):
    print("owned", flush=True)
    sys.stdin.read()
"""
SEALER = """
import sys
from pathlib import Path
import xarray as xr
from elastic.cube import seal, waiting
waiting.PATIENCE = 0.1
seal(xr.DataTree(xr.Dataset({"nc1": (("seed",), [1.0, 2.0])})), Path(sys.argv[1]))
"""


def started(script, folder):
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return processes.started([sys.executable, "-c", script, folder], cwd=ROOT, text=True, **pipes)


def test_a_process_that_waits_to_seal_says_for_whom_and_seals_then(tmp_path):
    with started(OWNER, tmp_path) as owner:
        assert owner.stdout.readline() == "owned\n"
        with started(SEALER, tmp_path) as sealer:
            text = sealer.stderr.readline()
            assert "waiting to seal the cube" in text
            assert f"process {owner.pid} " in text
            assert not is_sealed(tmp_path)
            owner.communicate()
            sealer.communicate()
            assert sealer.returncode == 0
    assert verify_manifest(tmp_path) == []
    np.testing.assert_array_equal(xr.open_datatree(tmp_path / "cube.zarr", engine="zarr")["nc1"], [1.0, 2.0])


# As soon as it has said that it waits, in tests/cube/test_locks_without_flock.py by default.
@pytest.mark.parametrize("patience", [pytest.param(0.0, marks=pytest.mark.long), 0.3])
def test_ctrl_c_ends_the_wait_and_nothing_is_sealed(tmp_path, patience):
    with started(OWNER, tmp_path) as owner:
        assert owner.stdout.readline() == "owned\n"
        with started(SEALER, tmp_path) as sealer:
            sealer.stderr.readline()
            time.sleep(patience)
            sealer.send_signal(signal.SIGINT)
            _, text = sealer.communicate()
            assert sealer.returncode != 0
            assert "KeyboardInterrupt" in text
    assert not is_sealed(tmp_path)
