"""`elastic verify ARCHIVE`: compares every file with the list of sums, and the parts with each other."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.publishing.archive import Archive, Reader, ReadFailed, open_archive
from elastic.publishing.archive_findings import ADDED, ALTERED, MISSING, UNSAFE, Finding
from elastic.publishing.consistency import consistent
from elastic.publishing.contents import CRATE, CUBE, FACTS, MANIFEST, RUNS, SUMS
from elastic.publishing.listing import archive_digest, decode_sums
from elastic.publishing.zip_safety import shown

#: Files that every archive of a study contains.
NEEDED = (FACTS, RUNS, MANIFEST, CRATE, f"{CUBE}/zarr.json")


@dataclass(frozen=True)
class VerifiedArchive:
    """Result of verifying an archive.

    Attributes
    ----------
    path
        Of the archive.
    digest
        SHA-256 of its list of sums; "" if the list is missing or unreadable.
    study, study_digest
        Name and digest of the study; "" if unknown.
    intact
        Number of intact files.
    findings
        Findings for all other files.
    left_out
        Number of files of the cube that a folder was written without.
    """

    path: Path
    digest: str
    study: str
    study_digest: str
    intact: int
    findings: tuple[Finding, ...]
    left_out: int = 0

    @property
    def damaged(self) -> bool:
        """Whether anything differs from what was published."""
        return bool(self.findings)

    def lines(self) -> list[str]:
        """Return one line per finding, then the digest."""
        return [*map(str, self.findings), *([f"digest of the archive: {self.digest}"] if self.digest else [])]

    def summary(self) -> str:
        """Return the number of files in each state."""
        counts = Counter(one.state for one in self.findings)
        parts = [f"{self.intact} files intact", *(f"{count} {state}" for state, count in counts.items())]
        return ", ".join([*parts, *([f"{self.left_out} of the cube left out"] if self.left_out else [])])

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
            "left_out": self.left_out,
            "findings": findings,
        }


def verify_archive(path: Path | str, *, without_cube: bool = False) -> VerifiedArchive:
    """Read every file of an archive and report those that were altered, added or are missing.

    The contents are compared, whatever their compression. Only a temporary folder is written, and nothing is unpacked
    if the archive has an unsafe entry or a damaged file.

    Parameters
    ----------
    path
        A ZIP file, or the folder that it was unpacked to.
    without_cube
        Accept a folder without any file of the cube, as ``elastic publish --without-cube`` writes it. All other files
        are verified.

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
        listed, failed = _listed(archive, reader)
        if listed is None:
            return VerifiedArchive(archive.path, "", "", "", 0, (failed,) if failed else ())
        left_out = _left_out(archive, listed) if without_cube else frozenset()
        findings = tuple(_compared(archive, reader, listed, left_out))
        known = archive_digest(reader.read(SUMS))
    intact = len(listed.keys() & archive.entries.keys()) + 1 - sum(one.state == ALTERED for one in findings)
    name, study_digest = "", ""
    if not findings:
        name, study_digest, findings = consistent(archive, listed)
    return VerifiedArchive(archive.path, known, name, study_digest, intact, findings, len(left_out))


def _left_out(archive: Archive, listed: Mapping[str, str]) -> frozenset[str]:
    """Return the files of the cube, if the archive is a folder that contains none of them."""
    of_cube = frozenset(name for name in listed if name.startswith(f"{CUBE}/"))
    is_whole = any(name.startswith(f"{CUBE}/") for name in archive.entries) or not archive.path.is_dir()
    return frozenset() if is_whole else of_cube


def _listed(archive: Archive, reader: Reader) -> tuple[dict[str, str] | None, Finding | None]:
    """Return the list of sums, or its error."""
    if SUMS not in archive.entries:
        return None, Finding(SUMS, MISSING, "what was published is unknown")
    try:
        return decode_sums(reader.read(SUMS)), None
    except (ReadFailed, ValueError) as error:
        return None, Finding(SUMS, ALTERED, str(error)[:200])


def _compared(
    archive: Archive, reader: Reader, listed: Mapping[str, str], left_out: frozenset[str]
) -> Iterator[Finding]:
    for name in sorted({*listed, *archive.entries, *NEEDED} - {SUMS} - left_out):
        if name not in archive.entries:
            yield Finding(shown(name), MISSING)
        elif name not in listed:
            yield Finding(shown(name), ADDED)
        else:
            try:
                checksum = _sha256(reader, name)
            except ReadFailed as error:
                yield Finding(shown(name), ALTERED, str(error))
                continue
            if checksum != listed[name]:
                yield Finding(shown(name), ALTERED)


def _sha256(reader: Reader, name: str) -> str:
    total = hashlib.sha256()
    for block in reader.blocks(name):
        total.update(block)
    return total.hexdigest()
