"""Studies to be damaged, each made once."""

from __future__ import annotations

from functools import cache

import pytest
from support import corruption


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Return a function that gives the folder of a study of a kind, its files, and those of another one of its kind."""

    @cache
    def study(kind):
        make, other = corruption.MAKERS[kind]
        folder = tmp_path_factory.mktemp("made")
        mine = make(folder / "a" / "mine")
        return mine, corruption.covered(mine), corruption.covered(make(folder / "b" / "mine", **other))

    return study
