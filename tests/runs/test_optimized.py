"""Python's ``-OO`` drops assertions (as ``-O``) and docstrings, and changes no byte of a cube."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support import forked, optimized, processes, studies

import elastic

ROOT = Path(elastic.__file__).parents[1]


def test_optimized_modules_seal_the_same_bytes(finished_study, tmp_path):
    out = tmp_path / "results"
    done = forked.script(optimized.__file__, "run", studies.write(tmp_path), "--out", out)
    assert done.returncode == 0, done.stdout
    assert studies.contents(out / "small" / "cube.zarr") == studies.contents(finished_study.folder / "cube.zarr")


@pytest.mark.long
def test_an_optimized_interpreter_seals_the_same_bytes(finished_study, tmp_path):
    out = tmp_path / "results"
    command = [sys.executable, "-OO", "-m", "elastic", "run", studies.write(tmp_path), "--out", out]
    processes.run(command, cwd=ROOT, check=True)
    assert studies.contents(out / "small" / "cube.zarr") == studies.contents(finished_study.folder / "cube.zarr")
