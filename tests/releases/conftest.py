"""Studies of earlier releases, unpacked."""

import pytest
from releases.archives import unpacked


@pytest.fixture
def unpack(tmp_path):
    """Return a function that unpacks a study of a release and returns its folder."""
    return lambda release, name: unpacked(release, name, tmp_path)
