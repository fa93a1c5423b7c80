"""Writing a ZIP file whose bytes depend on nothing but the contents: names sorted, times and permissions fixed."""

from __future__ import annotations

import os
import secrets
import stat
import zipfile
from pathlib import Path

from elastic.cube.atomic import PARTIAL, make_folder, sync_folder, translate_os_errors
from elastic.publishing.listing import files_below

#: The earliest time that a ZIP file can hold.
EPOCH = (1980, 1, 1, 0, 0, 0)

#: Endings of files that are compressed already.
COMPRESSED = frozenset({".png", ".pdf"})

#: Permissions of every entry: a regular file that its owner writes and all read.
MODE = stat.S_IFREG | 0o644

UNIX = 3


def write_zip(folder: Path, target: Path) -> None:
    """Write all files below a folder into a ZIP file; the file is whole or not there.

    The same contents give the same bytes with the same zlib: other builds of it may compress otherwise. The digest of
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
    """Return the head of an entry: nothing in it tells when, where or by whom it was written.

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
