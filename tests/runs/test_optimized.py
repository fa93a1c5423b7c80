"""Python's ``-OO`` drops assertions (as ``-O``) and docstrings, and changes no byte of a cube."""

from __future__ import annotations

import sys
from pathlib import Path

from support import processes, studies

import elastic

ROOT = Path(elastic.__file__).parents[1]


def test_an_optimized_interpreter_seals_the_same_bytes(finished_study, tmp_path):
    out = tmp_path / "results"
    command = [sys.executable, "-OO", "-m", "elastic", "run", studies.write(tmp_path), "--out", out]
    processes.run(command, cwd=ROOT, check=True)
    assert studies.contents(out / "small" / "cube.zarr") == studies.contents(finished_study.folder / "cube.zarr")
