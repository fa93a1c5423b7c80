"""The device of these tests: a GPU, or the one that ELASTIC_TEST_DEVICE names (``cpu`` tries the tests themselves)."""

from __future__ import annotations

import os

import pytest
import torch


@pytest.fixture(scope="session")
def device():
    """Return the device; skip where there is none."""
    name = os.environ.get("ELASTIC_TEST_DEVICE") or ("cuda" if torch.cuda.is_available() else "")
    if not name:
        pytest.skip("no CUDA device (ELASTIC_TEST_DEVICE=cpu tries the tests themselves)")
    return name
