"""Studies to be damaged, each made once."""

from __future__ import annotations

from functools import cache

import pytest
from support import corruption

from elastic.registry import registry

#: Metrics of small cubes: with classes in pairs, with components, of each layer, and of the network.
FEW = {
    "collapse": {"nc1", "class_cosine", "class_mean_spectrum", "nc4_mismatch"},
    "elasticity": {"response", "relative_similarity", "locality"},
}


@pytest.fixture(scope="module")
def few_metrics():
    """Leave out most metrics: a study with all of them has three hundred files, each of a kind with some others.

    A module that uses `made` uses this too, since runs that go on declare what was declared.
    """
    registry("metrics").names()
    with pytest.MonkeyPatch.context() as patch:
        for name, entry in list(registry("metrics")._entries.items()):
            if name not in FEW.get(entry.facts.group, {name}):
                patch.delitem(registry("metrics")._entries, name)
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
