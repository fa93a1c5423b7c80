"""``SHA256SUMS``: every file of an archive with its SHA-256; the SHA-256 of the list identifies the archive.

The digest is that of the contents: the same files zipped by another program have the same digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from elastic.publishing.contents import SUMS

_LINE = re.compile(r"([0-9a-f]{64})  ([^\r\n]+)")


def files_below(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, sorted as bytes."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(paths, key=str.encode)


def sums_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder except the list itself."""
    return {name: sha256_of(folder / name) for name in files_below(folder) if name != SUMS}


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def encode_sums(sums: Mapping[str, str]) -> bytes:
    r"""Return the list in the format of ``sha256sum --check``.

    >>> encode_sums({"b": "1" * 64, "a": "0" * 64}).decode().splitlines()[0].endswith("0  a")
    True
    """
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums, key=str.encode)).encode()


def decode_sums(data: bytes) -> dict[str, str]:
    """Parse a list.

    Raises
    ------
    ValueError
        If a line has another format, or a name occurs twice.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(data.decode().splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in sums:
            raise ValueError(f"line {number} is not a SHA-256 and a new name")
        sums[match[2]] = match[1]
    if encode_sums(sums) != data:
        raise ValueError("lines that are not sorted by name")
    return sums


def archive_digest(sums: bytes) -> str:
    """Return the digest of an archive, given its list."""
    return hashlib.sha256(sums).hexdigest()
