"""Recordings with few variables, for modules whose tests are not about what is measured."""

from __future__ import annotations

import pytest
from support.few_metrics import leave_few

#: What these tests read besides.
READ = ("nc3_duality", "class_mean_norm", "probe_error", "probe_engine", "kernel_similarity", "intra_class_effect")


@pytest.fixture(scope="module")
def few_metrics():
    """Leave out most metrics, in a module of which no test reads the study that all tests share.

    `test_modes` records all of them, and so do `test_equivalence` and `test_checkpoints`, which compare numbers.
    """
    with pytest.MonkeyPatch.context() as patch:
        leave_few(patch, *READ)
        yield
