"""Python's ``-O`` and ``-OO`` drop assertions and docstrings, and change no byte of a cube."""

from __future__ import annotations

import sys
from pathlib import Path

import processes
import pytest
import studies

import elastic

ROOT = Path(elastic.__file__).parents[1]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return sealed(tmp_path_factory.mktemp("plain"))


def sealed(folder, *flags):
    """Run the small study in a process of its own; return the SHA-256 of every file of its cube."""
    command = [sys.executable, *flags, "-m", "elastic", "run", studies.write(folder), "--out", folder / "results"]
    processes.run(command, cwd=ROOT, check=True)
    return studies.contents(folder / "results" / "small" / "cube.zarr")


@pytest.mark.parametrize("flag", ["-O", "-OO"])
def test_an_optimized_interpreter_seals_the_same_bytes(plain, tmp_path, flag):
    assert sealed(tmp_path, flag) == plain
