"""Settings of all tests: one thread a process, so that tests side by side do not fight for the cores."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("elastic", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("elastic")


@pytest.fixture(autouse=True)
def _seeded():
    """Draw each test's weights from one seed: about one small ReLU net in fifty has a class that no unit sees."""
    torch.default_generator.manual_seed(0)


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory):
    """Return the small study of `studies`, run to its end; tests read it and change nothing."""
    import studies

    return studies.run(tmp_path_factory.mktemp("finished"))
