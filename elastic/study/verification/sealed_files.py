"""The sealed cube's files, compared with the manifest, and the manifest with itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from elastic.cube.checked_files import Condition
from elastic.cube.manifest import CUBE, FILE, check_manifest, read_manifest
from elastic.cube.opening import open_store
from elastic.cube.portable import portable
from elastic.cube.sealed_store import SealedStore
from elastic.study.seal_state import ROOT, root_attributes
from elastic.study.verification.findings import Finding, State
from elastic.study.verification.reading import attempted, files_below, is_there, misfit, sha256


@dataclass(frozen=True)
class Manifest:
    """The contents of a study's manifest.

    Attributes
    ----------
    listed
        The SHA-256 of each file; empty if there is no manifest, or it is damaged.
    found
        Of the manifest; None if there is none.
    cube
        Of each file of the cube; empty without an intact manifest: then only the cube's numbers can be compared.
    """

    listed: Mapping[str, str]
    found: Finding | None
    cube: tuple[Finding, ...] = ()


def read_sealed(folder: Path) -> Manifest:
    """Return the manifest of a study, and its finding."""
    if not is_there(folder / FILE):
        return Manifest({}, None)
    if wrong := misfit(folder / FILE):
        return Manifest({}, Finding(FILE, State.DAMAGED, wrong))
    condition, wrong = attempted(lambda: check_manifest(folder))
    if wrong or condition is Condition.DAMAGED or condition is None:
        return Manifest({}, Finding(FILE, State.DAMAGED, wrong or "a wrong checksum"))
    listed = read_manifest(folder)
    cube = tuple(_check_cube(folder, listed))
    different = [one.path for one in cube if one.path in listed and one.state is State.DAMAGED]
    if ROOT in different and len(different) > 2 and "digest" in root_attributes(folder):
        return Manifest({}, Finding(FILE, State.DAMAGED, "the manifest of another cube"))
    state = State.INTACT if condition is Condition.INTACT else State.NOT_CHECKABLE
    return Manifest(listed, Finding(FILE, state), cube)


def left_out(attrs: Mapping[str, Any]) -> list[str]:
    """Return the names of the runs that a cube leaves out, from the attributes of its root.

    >>> left_out({"left_out": "seed=1; seed=2"}), left_out({})
    (['seed=1', 'seed=2'], [])
    """
    return [name for name in str(attrs.get("left_out", "")).split("; ") if name]


def open_cube(folder: Path, manifest: Manifest) -> xr.DataTree:
    """Return the cube, checked against its manifest if that is intact; it is read even if other files are missing."""
    return portable(open_store(SealedStore(folder, manifest.listed) if manifest.listed else folder / CUBE))


def cube_files(folder: Path) -> list[str]:
    """Return the paths of all files in the folder of the cube, links among them."""
    return [f"{CUBE}/{name}" for name in files_below(folder / CUBE)]


def _check_cube(folder: Path, listed: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the findings for each file of the cube, listed in the manifest or not."""
    there = cube_files(folder)
    if not there:
        yield Finding(CUBE, State.MISSING, "all its files")
        return
    for name, digest in listed.items():
        if name.startswith(f"{CUBE}/"):
            yield check_listed(folder, name, digest)
    for name in there:
        if name not in listed:
            yield Finding(name, State.DAMAGED, f"a file that {FILE} does not list")


def check_listed(folder: Path, name: str, digest: str) -> Finding:
    """Return the finding for one file that the manifest lists."""
    path = folder / name
    if not is_there(path):
        return Finding(name, State.MISSING)
    checksum, wrong = ("", misfit(path)) if misfit(path) else attempted(lambda: sha256(path))
    if wrong:
        return Finding(name, State.DAMAGED, wrong)
    return Finding(name, State.INTACT) if checksum == digest else Finding(name, State.DAMAGED, "a wrong checksum")
