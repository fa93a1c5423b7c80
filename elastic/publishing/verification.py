"""`elastic verify ARCHIVE`: every file is read and compared with the list of sums, and the parts with each other."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.cube.manifest import verify_manifest
from elastic.errors import ElasticError
from elastic.protocol.canonical import digest
from elastic.publishing.archive import Archive, Reader, ReadFailed, open_archive, unpack
from elastic.publishing.contents import CLAIMS, CRATE, CUBE, FACTS, MANIFEST, RUNS, SUMS
from elastic.publishing.listing import archive_digest, decode_sums
from elastic.publishing.zip_safety import shown
from elastic.study import Study

ALTERED, MISSING, ADDED, UNSAFE, CONTRADICTS = "altered", "missing", "added", "unsafe", "contradicts"

#: Files without which nothing is an archive of a study.
NEEDED = (FACTS, RUNS, MANIFEST, CRATE, f"{CUBE}/zarr.json")


@dataclass(frozen=True)
class Finding:
    """A file of an archive that is not as it was published.

    Attributes
    ----------
    path
        In the archive; "" for the archive as a whole.
    state
        "altered", "missing", "added", "unsafe", or "contradicts": whole, and at odds with another file.
    found
        What is there.
    """

    path: str
    state: str
    found: str = ""

    def __str__(self) -> str:
        return f"{self.path or 'the archive'}: {self.state}{f': {self.found}' if self.found else ''}"


@dataclass(frozen=True)
class VerifiedArchive:
    """What was found of an archive.

    Attributes
    ----------
    path
        Of the archive.
    digest
        SHA-256 of its list of sums; "" if it has none that can be read.
    study, study_digest
        Name and digest of the study; "" if they are not known.
    intact
        Number of files that are as they were published.
    findings
        All others.
    """

    path: Path
    digest: str
    study: str
    study_digest: str
    intact: int
    findings: tuple[Finding, ...]

    @property
    def damaged(self) -> bool:
        """Whether anything is not as it was published."""
        return bool(self.findings)

    def lines(self) -> list[str]:
        """Return a line a finding, then the digest."""
        return [*map(str, self.findings), *([f"digest of the archive: {self.digest}"] if self.digest else [])]

    def summary(self) -> str:
        """Return how many files are in which state."""
        counts = Counter(one.state for one in self.findings)
        return ", ".join([f"{self.intact} files intact", *(f"{count} {state}" for state, count in counts.items())])

    def to_json(self) -> dict[str, Any]:
        """Return the findings as plain data."""
        findings = [{"path": one.path, "state": one.state, "found": one.found} for one in self.findings]
        return {
            "archive": str(self.path),
            "digest": self.digest,
            "study": self.study,
            "study_digest": self.study_digest,
            "damaged": self.damaged,
            "intact": self.intact,
            "findings": findings,
        }


def verify_archive(path: Path | str) -> VerifiedArchive:
    """Read every file of an archive and name each that was altered, is missing or was added.

    The contents count, not how they are zipped. Nothing is written but in a temporary folder, and nothing is unpacked
    of an archive with an unsafe entry, or a file that is not as it was published.

    Parameters
    ----------
    path
        A ZIP file, or the folder that it was unpacked into.

    Raises
    ------
    StudyError
        If it is no archive of a study.
    Damaged
        If it is a ZIP file that cannot be read.
    """
    archive = open_archive(path)
    if archive.unsafe:
        findings = tuple(Finding(name, UNSAFE, wrong) for name, wrong in archive.unsafe)
        return VerifiedArchive(archive.path, "", "", "", 0, findings)
    with archive.reading() as reader:
        listed, found = _listed(archive, reader)
        if listed is None:
            return VerifiedArchive(archive.path, "", "", "", 0, (found,) if found else ())
        findings = tuple(_compared(archive, reader, listed))
        known = archive_digest(reader.read(SUMS))
    intact = len(listed.keys() & archive.entries.keys()) + 1 - sum(one.state == ALTERED for one in findings)
    name, study_digest = "", ""
    if not findings:
        name, study_digest, findings = _consistent(archive, listed)
    return VerifiedArchive(archive.path, known, name, study_digest, intact, findings)


def _listed(archive: Archive, reader: Reader) -> tuple[dict[str, str] | None, Finding | None]:
    """Return the list of sums, or what is wrong with it."""
    if SUMS not in archive.entries:
        return None, Finding(SUMS, MISSING, "nothing tells what was published")
    try:
        return decode_sums(reader.read(SUMS)), None
    except (ReadFailed, ValueError) as error:
        return None, Finding(SUMS, ALTERED, str(error)[:200])


def _compared(archive: Archive, reader: Reader, listed: Mapping[str, str]) -> Iterator[Finding]:
    for name in sorted({*listed, *archive.entries, *NEEDED} - {SUMS}):
        if name not in archive.entries:
            yield Finding(shown(name), MISSING)
        elif name not in listed:
            yield Finding(shown(name), ADDED)
        else:
            try:
                found = _sha256(reader, name)
            except ReadFailed as error:
                yield Finding(shown(name), ALTERED, str(error))
                continue
            if found != listed[name]:
                yield Finding(shown(name), ALTERED)


def _sha256(reader: Reader, name: str) -> str:
    total = hashlib.sha256()
    for block in reader.blocks(name):
        total.update(block)
    return total.hexdigest()


def _consistent(archive: Archive, listed: Mapping[str, str]) -> tuple[str, str, tuple[Finding, ...]]:
    """Return name and digest of the study, and where whole files are at odds: lists can be forged with the files."""
    with tempfile.TemporaryDirectory(prefix="elastic-verify-") as temporary:
        folder = Path(temporary) / "archive"
        unpack(archive, folder)
        findings = [
            *_of_crate(folder, listed),
            *(Finding(MANIFEST, CONTRADICTS, one) for one in verify_manifest(folder)),
        ]
        try:
            study = Study(folder)
            study.runs()
            attrs = study.cube.attrs
        except (ElasticError, KeyError, ValueError, TypeError) as error:
            found = str(error).replace(f"{folder}/", "")
            return "", "", (*findings, Finding(FACTS, CONTRADICTS, found))
        findings += _of_cube(study, attrs)
        return study.name, study.digest, tuple(findings)


def _of_crate(folder: Path, listed: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the files of which the description says something else than the list of sums."""
    try:
        graph = json.loads((folder / CRATE).read_bytes())["@graph"]
        described = {str(one["@id"]): one["sha256"] for one in graph if "sha256" in one}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        yield Finding(CRATE, CONTRADICTS, f"no description of an archive ({type(error).__name__})")
        return
    expected = {name: one for name, one in listed.items() if name != CRATE}
    names = {_decoded(name): one for name, one in described.items()}
    for name in sorted(expected.keys() ^ names.keys() | {n for n in expected if names.get(n) != expected[n]}):
        yield Finding(CRATE, CONTRADICTS, f"another SHA-256 of {shown(name)} than {SUMS}")


def _decoded(identifier: str) -> str:
    from urllib.parse import unquote

    return unquote(identifier)


def _of_cube(study: Study, attrs: Mapping[Any, Any]) -> Iterator[Finding]:
    if attrs.get("digest") != study.digest:
        yield Finding(CUBE, CONTRADICTS, f"the digest of another study than {FACTS}")
    canonical = json.loads(attrs.get("canonical_protocol", "null"))
    if not study.recorded and canonical is not None and digest(canonical) != study.digest:
        yield Finding(CUBE, CONTRADICTS, "the text of another protocol")
    path = study.folder / CLAIMS
    if path.exists():
        told = json.loads(path.read_bytes())
        if told.get("digest") != study.digest or len(told.get("claims", ())) != len(study.claims):
            yield Finding(CLAIMS, CONTRADICTS, "verdicts on another study")
