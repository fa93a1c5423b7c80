"""Consistency of an archive's intact files: anyone who forges a file can forge the list of sums, too."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from elastic.cube.manifest import read_manifest, verify_manifest
from elastic.protocol.canonical import digest
from elastic.publishing.archive import Archive
from elastic.publishing.archive_findings import CONTRADICTS, UNSAFE, Finding
from elastic.publishing.contents import CLAIMS, CRATE, CUBE, FACTS, MANIFEST, SUMS
from elastic.publishing.unpacking import unpack
from elastic.publishing.zip_safety import LIMITS, Limits, shown
from elastic.study import Study


def consistent(archive: Archive, listed: Mapping[str, str]) -> tuple[str, str, tuple[Finding, ...]]:
    """Return name and digest of the study of an archive, and the contradictions between its files.

    Parameters
    ----------
    archive
        Archive whose files all match the list.
    listed
        SHA-256 of each file.
    """
    with tempfile.TemporaryDirectory(prefix="elastic-verify-") as temporary:
        folder = Path(temporary) / "archive"
        unpack(archive, folder)
        if wrong := tuple(shape_bombs(folder)):
            return "", "", wrong
        findings = [*_of_crate(folder, listed)]
        has_cube = (folder / CUBE).is_dir()
        wrong_sums = verify_manifest(folder) if has_cube else _of_manifest(folder, listed)
        findings += [Finding(MANIFEST, CONTRADICTS, one) for one in wrong_sums]
        try:
            study = Study(folder)
            study.runs()
            if has_cube:
                findings += _of_cube(study, study.cube.attrs)
            findings += _of_claims(study)
        except Exception as error:  # untrusted files may raise nearly anything
            found = shown(" ".join(str(error).replace(f"{folder}/", "").split())) or type(error).__name__
            return "", "", (*findings, Finding(FACTS, CONTRADICTS, found))
        return study.name, study.digest, tuple(findings)


def shape_bombs(folder: Path, limits: Limits = LIMITS) -> Iterator[Finding]:
    """Yield arrays of a cube that would exceed the memory: metadata can declare any shape, whatever the chunks hold."""
    for path in sorted((folder / CUBE).rglob("zarr.json")):
        name = shown(path.relative_to(folder).as_posix())
        try:
            size = sum(math.prod(map(abs, shape)) * 8 for shape in _shapes(json.loads(path.read_bytes())))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            yield Finding(name, CONTRADICTS, f"no description of an array ({type(error).__name__})")
            continue
        if size > limits.total:
            yield Finding(name, UNSAFE, f"arrays of {size} bytes, more than {limits.total}")


def _shapes(value: Any) -> Iterator[list[int]]:
    """Yield the shapes of all arrays in the metadata of Zarr, including consolidated metadata."""
    if isinstance(value, dict):
        if value.get("node_type") == "array":
            yield value["shape"]
        for name, one in value.items():
            if name != "attributes":
                yield from _shapes(one)


def _of_manifest(folder: Path, listed: Mapping[str, str]) -> Iterator[str]:
    """Yield files for which the manifest of an absent cube differs from the list of sums."""
    manifest = read_manifest(folder)
    for name in sorted({*manifest, *(name for name in listed if name.startswith(f"{CUBE}/"))}):
        if manifest.get(name) != listed.get(name):
            yield f"another SHA-256 of {shown(name)} than {SUMS}"


def _of_crate(folder: Path, listed: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the files for which the description differs from the list of sums."""
    try:
        graph = json.loads((folder / CRATE).read_bytes())["@graph"]
        described = {str(one["@id"]): one["sha256"] for one in graph if "sha256" in one}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        yield Finding(CRATE, CONTRADICTS, f"no description of an archive ({type(error).__name__})")
        return
    expected = {name: one for name, one in listed.items() if name != CRATE}
    names = {unquote(name): one for name, one in described.items()}
    for name in sorted(expected.keys() ^ names.keys() | {n for n in expected if names.get(n) != expected[n]}):
        yield Finding(CRATE, CONTRADICTS, f"another SHA-256 of {shown(name)} than {SUMS}")


def _of_cube(study: Study, attrs: Mapping[Any, Any]) -> Iterator[Finding]:
    if attrs.get("digest") != study.digest:
        yield Finding(CUBE, CONTRADICTS, f"the digest of another study than {FACTS}")
    canonical = json.loads(attrs.get("canonical_protocol", "null"))
    if not study.recorded and canonical is not None and digest(canonical) != study.digest:
        yield Finding(CUBE, CONTRADICTS, "the text of another protocol")


def _of_claims(study: Study) -> Iterator[Finding]:
    path = study.folder / CLAIMS
    if path.exists():
        stored = json.loads(path.read_bytes())
        if stored.get("digest") != study.digest or len(stored.get("claims", ())) != len(study.claims):
            yield Finding(CLAIMS, CONTRADICTS, "verdicts on another study")
