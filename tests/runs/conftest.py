"""Runs of few metrics: what happens to runs is the same with few of them, and their records and cubes take less."""

from __future__ import annotations

import pytest
from support import studies
from support.few_metrics import leave_few

#: What the cube says of the engines of the elasticity probes.
OF_ENGINES = ("probe_engine", "probe_error")


@pytest.fixture(scope="module")
def few_metrics():
    """Leave out most metrics in a file whose tests ask nothing of the others."""
    with pytest.MonkeyPatch.context() as patch:
        leave_few(patch, kept=OF_ENGINES)
        yield


@pytest.fixture(scope="session")
def study_of_few(tmp_path_factory):
    """Return the small study of `studies` with few metrics, run to its end; tests read it and change nothing."""
    with pytest.MonkeyPatch.context() as patch:
        leave_few(patch, kept=OF_ENGINES)
        return studies.run(tmp_path_factory.mktemp("finished"))
