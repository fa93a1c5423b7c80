"""Studies of earlier releases, unpacked."""

import tarfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def unpack(tmp_path):
    """Return a function that unpacks a study of a release and returns its folder."""

    def extract(release, name):
        with tarfile.open(HERE / release / f"{name}.tar.xz") as archive:
            archive.extractall(tmp_path / "little", filter="data")
        return tmp_path / "little"

    return extract
