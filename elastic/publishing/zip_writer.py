"""Writing a ZIP file whose bytes depend only on the contents: names sorted, times and permissions fixed."""

from __future__ import annotations

import os
import secrets
import stat
import zipfile
from pathlib import Path

from elastic.cube.atomic import PARTIAL, make_folder, sync_folder, translate_os_errors
from elastic.publishing.listing import files_below

#: Earliest time that a ZIP file can store.
EPOCH = (1980, 1, 1, 0, 0, 0)

#: Endings of files that are already compressed.
COMPRESSED = frozenset({".png", ".pdf"})

#: Permissions of every entry: a regular file, writable by its owner and readable by all.
MODE = stat.S_IFREG | 0o644

UNIX = 3


def write_zip(folder: Path, target: Path) -> None:
    """Write all files below a folder to a ZIP file, which is complete or absent.

    The same contents give the same bytes with the same zlib: other builds may compress differently. The digest of
    an archive is that of its contents (`elastic.publishing.listing`).

    Raises
    ------
    StudyError
        If the file cannot be written.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")
    with translate_os_errors(target):
        make_folder(target.absolute().parent)
        try:
            with partial.open("xb") as file:
                with zipfile.ZipFile(file, "w") as archive:
                    for name in files_below(folder):
                        archive.writestr(entry(name), (folder / name).read_bytes(), compresslevel=9)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        sync_folder(target.absolute().parent)


def entry(name: str) -> zipfile.ZipInfo:
    """Return the head of an entry, without time, place or author.

    >>> info = entry("cube.zarr/zarr.json")
    >>> info.date_time, oct(info.external_attr >> 16), info.create_system
    ((1980, 1, 1, 0, 0, 0), '0o100644', 3)
    """
    info = zipfile.ZipInfo(name, EPOCH)
    info.external_attr = MODE << 16
    info.create_system = UNIX
    is_compressed = Path(name).suffix in COMPRESSED or "/c/" in name  # chunks of a Zarr store
    info.compress_type = zipfile.ZIP_STORED if is_compressed else zipfile.ZIP_DEFLATED
    return info
