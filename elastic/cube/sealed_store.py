"""A Zarr store for the files of a sealed cube that compares every file with the manifest.

Zarr reads missing chunks as NaN, and chunks of a cube that was sealed again under the labels of the open one. This
store keeps the manifest from the time of opening and compares every file with it on reading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from shlex import quote

from elastic.cube.atomic import read_regular, translate_os_errors
from elastic.cube.manifest import CUBE, FILE, read_manifest
from elastic.cube.reading_store import ReadingStore
from elastic.errors import Damaged, SealedAgain, StudyError

#: Files that Zarr looks for and need not find, of both versions of the format.
_OPTIONAL = frozenset({"zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"})


class DamagedCube(Damaged, RuntimeError):
    """A file of a sealed cube that is not as it was sealed; a RuntimeError too, as Zarr raises for a wrong checksum."""


class SealedStore(ReadingStore):
    """The files of ``cube.zarr`` as one manifest lists them, for reading.

    Parameters
    ----------
    folder
        Folder of the study.
    listed
        Return value of `elastic.cube.read_manifest` at opening: {path in the folder: SHA-256}.
    """

    def __init__(self, folder: Path, listed: Mapping[str, str]) -> None:
        super().__init__()
        # Absolute: a notebook may change the working directory between opening and reading.
        self.folder, self.listed = folder.absolute(), dict(listed)
        self.names = {name.removeprefix(f"{CUBE}/"): name for name in listed if name.startswith(f"{CUBE}/")}
        self.keys = self.names

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SealedStore) and (self.folder, self.listed) == (other.folder, other.listed)

    def __hash__(self) -> int:
        return hash((self.folder, self.listed.get(f"{CUBE}/zarr.json")))

    def __repr__(self) -> str:
        return f"<SealedStore of {self.folder / CUBE}>"

    def path_of(self, key: str) -> Path:
        """Return the path of a file."""
        return self.folder / self.names[key]

    def read(self, key: str) -> bytes | None:
        """Return the contents of a file; None for metadata files that are not part of the cube.

        Raises
        ------
        SealedAgain
            If the cube has been sealed again or unsealed since.
        Damaged
            If the file differs from the manifest, is missing, or is not listed.
        """
        if key not in self.keys:
            if PurePosixPath(key).name in _OPTIONAL:
                return None
            raise self._wrong(key, f"be listed in {FILE}", "no such line")
        path = self.path_of(key)
        with translate_os_errors(path, "be readable"):
            try:
                data = read_regular(path)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise self._wrong(key, f"be there, as {FILE} lists it", "no such file") from None
        if hashlib.sha256(data).hexdigest() != self.listed[self.names[key]]:
            found = "damaged metadata" if PurePosixPath(key).name in _OPTIONAL else "another one"
            raise self._wrong(key, f"have the checksum that {FILE} lists", found)
        return data

    def _wrong(self, key: str, expected: str, found: str) -> StudyError:
        path = self.folder / CUBE / key
        now = read_manifest(self.folder)
        if now != self.listed:
            found = "a cube that was sealed since" if now else "no seal: the study is being recorded or sealed"
            hint = "opening the study again: elastic.open_study(…).cube"
            return SealedAgain(f"`{CUBE}`", "be the sealed cube that was opened", found, hint, place=str(path))
        return DamagedCube(f"`{CUBE}/{key}`", expected, found, repair_hint(self.folder), place=str(path))


def repair_hint(folder: Path) -> str:
    """Return the hint for a damaged cube."""
    return f"elastic verify --repair {quote(str(folder))}: it is sealed anew from the journals"
