"""What tests of the Recorder share."""

from __future__ import annotations

import pytest

from elastic.study import Study


@pytest.fixture
def unsealed(monkeypatch):
    """Leave out the sealing, which takes as long as a record: a cube that is not sealed is that of the journals.

    For tests of what is recorded. Those of names, of epochs and of whatever else a sealed cube holds seal it.
    """
    monkeypatch.setattr(Study, "seal", lambda self: None)
