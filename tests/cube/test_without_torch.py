"""A study is read where torch is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

from support import processes

import elastic

ROOT = Path(elastic.__file__).parents[1]

SCRIPT = """
import sys
sys.modules["torch"] = None
from pathlib import Path
import elastic.cube as cube
folder = Path(sys.argv[1])
cube.seal(cube.assemble([({"seed": 0}, folder / "run")], {"seed": [0]}, {"title": "t"}), folder)
opened = cube.open_sealed(folder)
assert opened["collapse"]["nc1"].notnull().any(), opened
print(sorted(name for name in sys.modules if name.split(".")[0] == "torch"))
"""


def test_a_cube_is_assembled_sealed_and_read_without_torch(tmp_path, make_layout, write_run):
    write_run(tmp_path / "run", make_layout())
    done = processes.run([sys.executable, "-W", "error", "-c", SCRIPT, tmp_path], cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['torch']"  # the block itself
