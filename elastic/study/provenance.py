"""What a study was made with: versions, source, machine. Needs no torch."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path

#: Packages on which the numbers depend.
PACKAGES = ("torch", "numpy", "scikit-learn", "xarray", "zarr")


@cache
def provenance() -> dict[str, object]:
    """Return the versions, the commit of the source and the kind of machine, as JSON can hold them."""
    return {
        "elastic_version": _version("elastic-collapse"),
        "elastic_commit": source_commit(Path(__file__).parent.parent),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def source_commit(folder: Path) -> str:
    """Return the git commit of the source in a folder, with "+" if it was changed since; "" outside a checkout."""
    commit = _git(folder, "rev-parse", "HEAD")
    return f"{commit}+" if commit and _git(folder, "status", "--porcelain", "--", str(folder)) else commit


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
