"""The manifest of a sealed cube: the SHA-256 of every file, as ``sha256sum --check`` reads it.

Its first and last lines are comments to ``sha256sum``. The last one holds the SHA-256 of all lines above; the first one
says so, so that a manifest that was cut short is not taken for one of an earlier release, which had neither.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from elastic.cube.atomic import open_regular, translate_os_errors, write_atomically
from elastic.cube.checked_files import Condition

FILE = "manifest.sha256"
CUBE = "cube.zarr"

#: First line, and the begin of the last one.
HEAD, END = "# SHA-256 of each file of a sealed study; the last line has that of all lines above it\n", "# sha256 "


def write_manifest(folder: Path, extra: Iterable[Path] = ()) -> None:
    """Write ``manifest.sha256`` over every file of ``cube.zarr`` and the extra ones, sorted by path.

    Parameters
    ----------
    folder
        Folder of the study.
    extra
        More files in that folder that belong to the sealed cube (absolute, or relative to the folder).
    """
    folder = folder.absolute()
    names = {*_cube_files(folder), *((folder / path).relative_to(folder).as_posix() for path in extra)}
    _write(folder, {name: _sha256(folder / name) for name in names})


def list_again(folder: Path, name: str) -> None:
    """Bring the line of one file up to date, where the manifest lists it; nothing else changes."""
    listed = read_manifest(folder)
    if name in listed and (digest := _sha256(folder / name)) != listed[name]:
        _write(folder, {**listed, name: digest})


def _write(folder: Path, listed: Mapping[str, str]) -> None:
    text = "".join([HEAD, *(f"{listed[name]}  {name}\n" for name in sorted(listed))])
    write_atomically(folder / FILE, f"{text}{END}{_digest(text)}\n".encode())


def remove_seal(folder: Path) -> None:
    """Remove the manifest: ``cube.zarr`` no longer counts as sealed."""
    with translate_os_errors(folder / FILE):
        (folder / FILE).unlink(missing_ok=True)


def read_manifest(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each listed file; empty if the manifest is missing or damaged."""
    return _parsed(_text(folder))[0]


def check_manifest(folder: Path) -> Condition | None:
    """Compare the manifest with its own checksum; None if there is no manifest."""
    if not (folder / FILE).exists():
        return None
    listed, is_checked = _parsed(_text(folder))
    if not listed:
        return Condition.DAMAGED
    return Condition.INTACT if is_checked else Condition.NOT_CHECKABLE


def _text(folder: Path) -> str:
    path = folder / FILE
    with translate_os_errors(path, "be readable"):
        return path.read_bytes().decode(errors="replace") if path.is_file() else ""


def _parsed(text: str) -> tuple[dict[str, str], bool]:
    """Return what a manifest lists, nothing if it is damaged, and whether it has a checksum of its own."""
    above, mark, digest = text.rpartition(f"\n{END}")
    is_checked = bool(mark) and text.startswith(HEAD)
    if is_checked:
        if f"{_digest(above + mark[:1])}\n" != digest:
            return {}, True
        text = above[len(HEAD) :]
    listed = {}
    for line in text.splitlines():
        one, between, name = line.partition("  ")
        if not between or len(one) != 64 or name in listed:
            return {}, is_checked
        listed[name] = one
    return listed if f"{CUBE}/zarr.json" in listed else {}, is_checked


def is_sealed(folder: Path) -> bool:
    """Return whether the study has a cube with a manifest, and every listed file (none is read)."""
    listed = read_manifest(folder)
    return bool(listed) and not missing_files(folder, listed)


def missing_files(folder: Path, listed: Mapping[str, str]) -> list[str]:
    """Return the listed files that are not there (none is read)."""
    return [name for name in listed if not (folder / name).is_file()]


def verify_manifest(folder: Path) -> list[str]:
    """Verify a sealed cube and return its damaged, missing and extra files.

    Every file is read and its SHA-256 compared: "<path>: damaged", "… missing", or "… extra" for a file of
    ``cube.zarr`` that is not listed.
    """
    listed = read_manifest(folder)
    if not listed:
        return [f"{FILE}: {'damaged' if (folder / FILE).is_file() else 'missing'}"]
    wrong = []
    for name, digest in listed.items():
        with translate_os_errors(folder / name, "be readable"):
            if not (folder / name).is_file():
                wrong.append(f"{name}: missing")
            elif _sha256(folder / name) != digest:
                wrong.append(f"{name}: damaged")
    return sorted(wrong + [f"{name}: extra" for name in _cube_files(folder) if name not in listed])


def is_intact(folder: Path, name: str) -> bool:
    """Return whether one listed file is as the manifest says."""
    with translate_os_errors(folder / name, "be readable"):
        return read_manifest(folder).get(name) == _sha256(folder / name)


def _cube_files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in (folder / CUBE).rglob("*") if path.is_file()]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
