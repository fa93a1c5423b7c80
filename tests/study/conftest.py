"""Studies to be damaged, each made once."""

from __future__ import annotations

from functools import cache

import pytest
from support import corruption
from support.few_metrics import leave_few


@pytest.fixture(scope="module")
def few_metrics(finished_study):
    """Leave out most metrics: a study with all of them has three hundred files, each of a kind with some others.

    A module that uses `made` uses this too, since runs that go on declare what was declared. The study that all tests
    share is asked for, so that it has been made with all metrics.
    """
    with pytest.MonkeyPatch.context() as patch:
        leave_few(patch)
        yield


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
