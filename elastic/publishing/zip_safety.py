"""Validation of the entries of a ZIP file before any of them is read: archives are untrusted.

Only the directory of the ZIP file is read here. `elastic.publishing.archive` compares the contents with
it.
"""

from __future__ import annotations

import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Limits:
    """Limits of an archive.

    Attributes
    ----------
    files
        Number of entries.
    total, single
        Bytes of all files, and of one.
    ratio
        Largest ratio of an entry of more than `ratio_from` bytes to its compressed bytes.
    directory
        Bytes of the ZIP file's own directory.
    metadata
        Bytes of a file that is read in one piece (JSON, YAML, text).
    path, name
        Characters of a path, and bytes of one part of it.
    """

    files: int = 100_000
    total: int = 8 * 2**30
    single: int = 2 * 2**30
    ratio: int = 200
    ratio_from: int = 2**20
    directory: int = 64 * 2**20
    metadata: int = 64 * 2**20
    path: int = 1000
    name: int = 255


LIMITS = Limits()

#: Endings of files that are read in one piece.
WHOLE = (".json", ".yaml", ".sha256", "SHA256SUMS")

METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}

#: Bits of an entry's flags for encryption, patches, strong encryption, and a directory with hidden names.
_ENCRYPTED, _PATCHED, _MASKED = 0x1 | 0x40, 0x20, 0x2000

#: Bits of the attributes of MS-DOS, which every entry has.
_LABEL, _FOLDER = 0x8, 0x10

#: Names that Windows reserves for devices, with any ending.
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$")

#: Bytes of an entry's local head before its name.
_LOCAL_HEAD = 30


def wrong_entries(infos: Sequence[zipfile.ZipInfo], limits: Limits = LIMITS) -> Iterator[tuple[str, str]]:
    """Yield (name, error) for entries that must not be read, and for the archive as a whole (name "")."""
    if len(infos) > limits.files:
        yield "", f"{len(infos)} entries, more than {limits.files}"
    if (total := sum(info.file_size for info in infos)) > limits.total:
        yield "", f"{total} bytes unpacked, more than {limits.total}"
    for info in infos:
        if wrong := wrong_name(info.orig_filename, limits) or _wrong_kind(info) or _wrong_size(info, limits):
            yield shown(info.orig_filename), wrong
    yield from _collisions(infos)
    yield from _overlaps(infos)


def wrong_name(name: str, limits: Limits = LIMITS) -> str:
    r"""Return the error of an entry's path; "" if it stays below the folder that it is unpacked to.

    >>> wrong_name("figures/a.svg"), wrong_name("../a"), wrong_name("/etc/passwd"), wrong_name("C:\\a")
    ('', 'a path that leaves its folder', 'an absolute path', 'a backslash or a colon in its path')
    """
    parts = name.removesuffix("/").split("/")
    checks = (
        (not name.strip("/") or len(name) > limits.path, "no path, or one that is too long"),
        (name.startswith("/"), "an absolute path"),
        (any(mark in name for mark in "\\:"), "a backslash or a colon in its path"),
        (any(part in ("..", ".") for part in parts), "a path that leaves its folder"),
        (any(not part for part in parts), "an empty part in its path"),
        (
            any(len(part.encode(errors="replace")) > limits.name for part in parts),
            "a part of its path that is too long",
        ),
        (any(unicodedata.category(one)[0] == "C" for one in name), "a character in its path that cannot be shown"),
        (any(part != part.rstrip(". ") for part in parts), "a part of its path that ends in a dot or a space"),
        (any(_DEVICES.match(part) for part in parts), "the name of a device"),
    )
    return next((wrong for is_so, wrong in checks if is_so), "")


def shown(name: str) -> str:
    r"""Escape a name for printing.

    >>> shown("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return repr(name)[1:-1][:200]


def is_folder(info: zipfile.ZipInfo) -> bool:
    """Return whether an entry is a folder; zipfile's own method fails on an entry without a name."""
    return info.orig_filename.endswith("/")


def _wrong_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    kinds = (0, stat.S_IFDIR) if is_folder(info) else (0, stat.S_IFREG)
    checks = (
        (stat.S_ISLNK(mode), "a symbolic link"),
        (stat.S_IFMT(mode) not in kinds, "neither a file nor a folder"),
        (info.flag_bits & (_ENCRYPTED | _MASKED), "encrypted"),
        (info.flag_bits & _PATCHED, "a patch of another file"),
        (info.compress_type not in METHODS, f"compressed by method {info.compress_type}, which is not read"),
        (is_folder(info) and info.file_size, "a folder with contents of its own"),
        (not is_folder(info) and info.external_attr & _FOLDER, "a file that is marked as a folder"),
        (info.external_attr & _LABEL, "the label of a disk"),
    )
    return next((wrong for is_so, wrong in checks if is_so), "")


def wrong_metadata(name: str, size: int, limits: Limits = LIMITS) -> str:
    """Return the error of the size of a file that is read in one piece; "" for all others.

    >>> wrong_metadata("study.json", 2**30), wrong_metadata("cube.zarr/collapse/nc1/c/0", 2**30)
    ('1073741824 bytes, more than 67108864 of a file that is read as a whole', '')
    """
    is_whole = name.endswith(WHOLE) and size > limits.metadata
    return f"{size} bytes, more than {limits.metadata} of a file that is read as a whole" if is_whole else ""


def _wrong_size(info: zipfile.ZipInfo, limits: Limits) -> str:
    if info.file_size > limits.single:
        return f"{info.file_size} bytes, more than {limits.single}"
    if info.file_size > limits.ratio_from and info.file_size > limits.ratio * max(1, info.compress_size):
        return f"{info.file_size} bytes out of {info.compress_size}: a ZIP bomb"
    return ""


def folded(name: str) -> str:
    """Return the form of a path in which file systems may equate it with another: case-folded, composed letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _collisions(infos: Sequence[zipfile.ZipInfo]) -> Iterator[tuple[str, str]]:
    """Yield entries with the name of another one, with a name that differs in case only, or with that of a folder."""
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for info in infos:
        name = info.orig_filename.removesuffix("/")
        parts = name.split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts) + is_folder(info))]
        for folder in above:
            other = folders.setdefault(folded(folder), folder)
            if other != folder:
                yield shown(name), f"a folder that differs from {shown(other)} in case only"
        if not is_folder(info):
            other = files.setdefault(folded(name), name)
            if other is not name:
                yield shown(name), "twice" if other == name else f"a name that differs from {shown(other)} in case only"
    for one in files.keys() & folders.keys():
        yield shown(files[one]), "a file and a folder at once"


def _overlaps(infos: Sequence[zipfile.ZipInfo]) -> Iterator[tuple[str, str]]:
    """Yield entries that share bytes with others: a small file could unpack to any size."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    for one, after in pairwise(ordered):
        # A character of a name has one byte or more in any encoding.
        if one.header_offset + _LOCAL_HEAD + len(one.orig_filename) + one.compress_size > after.header_offset:
            yield shown(after.orig_filename), f"bytes that are those of {shown(one.orig_filename)}, too"
