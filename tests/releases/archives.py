"""Studies of earlier releases, kept as archives."""

from __future__ import annotations

import tarfile
from pathlib import Path

HERE = Path(__file__).parent


def unpacked(release: str, name: str, out: Path) -> Path:
    """Unpack a study of a release into a folder and return the folder of the study."""
    with tarfile.open(HERE / release / f"{name}.tar.xz") as archive:
        archive.extractall(out / "little", filter="data")
    return out / "little"
