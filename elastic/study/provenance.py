"""Provenance of a study: versions, source, machine. Needs no torch."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from elastic._version import __version__
from elastic.errors import ElasticError, StudyError, UnknownName

#: Packages on which the numbers depend.
PACKAGES = ("torch", "numpy", "scikit-learn", "xarray", "zarr")


@cache
def provenance() -> dict[str, object]:
    """Return the versions, the commit of the source and the kind of machine, as JSON can hold them."""
    return {
        "elastic_version": __version__,
        "elastic_commit": source_commit(Path(__file__).parent.parent),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def of_its_release(error: ElasticError, provenance: Mapping[str, Any], place: Path) -> StudyError:
    """Return the error of something stored in a study, which names the release that wrote it and the one that reads it.

    Parameters
    ----------
    error
        The error that this release finds.
    provenance
        Of the study, as `provenance` returned it.
    place
        The file that stores it.
    """
    writer = str(provenance.get("elastic_version") or "an unknown version")
    found = f"{error.found}, written by elastic {writer} (this is elastic {__version__})"
    hint = f"elastic {writer}, or a later one"
    if isinstance(error, UnknownName):
        own = "the module that registers it, imported before the study is read"
        hint = own if writer == __version__ else f"{hint}; {own}"
    elif writer == __version__:
        hint = f"deleting {place.name} and running its protocol again: the runs are kept"
    return StudyError(error.field, error.expected, found, hint, place=str(place))


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


def git_identity(folder: Path) -> list[str]:
    """Return the name and the email address of commits made in a folder, if git has them."""
    return [value for key in ("user.name", "user.email") if (value := _git(folder, "config", key))]
