"""Replacing a sealed store such that readers of the old one raise an error or get correct values.

Plain xarray reads chunks by path when values are used: from a replaced store it would read new values under old labels,
and NaN for missing chunks. Therefore

- the files are replaced one by one, never the folder: at no instant is a chunk missing;
- a chunk whose variable has other numbers than before holds more bytes than any chunk that was there: Zarr cannot
  bring them into the shape that it expects, and raises. `elastic.cube.chunk_sizes` remembers what was there;
- a chunk that the new store lacks becomes a file that no codec decodes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from elastic.cube.atomic import PARTIAL, read_regular, sync_all, sync_folder
from elastic.cube.chunk_sizes import ChunkSizes
from elastic.cube.manifest import CUBE, FILE, remove_seal
from elastic.cube.stored_array import METADATA, TOMBSTONE, StoredArray, stored_arrays

#: Folder of the study in which `ChunkSizes` are remembered.
MEMORY = ".sealed-chunks"


def unseal(folder: Path) -> None:
    """Remove the manifest of a cube that is about to be replaced or withdrawn.

    An empty folder ``cube.zarr.replaced-<pid>`` stays until a cube is sealed: it shows that the manifest was not lost,
    but never written by a process that was killed before.
    """
    (folder / f"{CUBE}.replaced-{os.getpid()}").mkdir(exist_ok=True)
    sync_folder(folder)
    remove_seal(folder)
    sync_folder(folder)


def is_left_unsealed(folder: Path) -> bool:
    """Return whether the last process that sealed or withdrew the cube was killed before it finished."""
    return not (folder / FILE).exists() and any(
        any(folder.glob(f"{CUBE}.{what}-*")) for what in ("partial", "replaced")
    )


def replace_store(partial: Path, folder: Path) -> None:
    """Give a finished store its name, ``cube.zarr``, in a study's folder that may have one already; unseal that."""
    unseal(folder)
    cube = folder / CUBE
    if not cube.is_dir():
        partial.replace(cube)
        sync_folder(folder)
        return
    before, now = stored_arrays(cube), stored_arrays(partial)
    for path in sorted(before.keys() | now.keys()):
        _separate(cube / path, before.get(path), now.get(path), ChunkSizes(folder / MEMORY / path))
    _merge(partial, cube)
    shutil.rmtree(partial)
    sync_folder(folder)


def withdraw_store(folder: Path) -> None:
    """Make ``cube.zarr`` unreadable, so that its readers raise an error instead of reading NaN.

    The manifest and the metadata of the root are removed first: without both there is no cube (`is_withdrawn`), even if
    the process is killed before the rest is removed.
    """
    cube = folder / CUBE
    if not cube.is_dir():
        remove_seal(folder)
        return
    unseal(folder)
    for path, array in stored_arrays(cube).items():
        ChunkSizes(folder / MEMORY / path).remember(array)
    metadata = [file for file in _files(cube) if file.name == METADATA]
    for file in sorted(metadata, key=lambda file: len(file.parts)):
        file.unlink()
    sync_folder(cube)
    _bury(cube, ())


def is_withdrawn(folder: Path) -> bool:
    """Return whether the remains of a study's cube exist only to make its readers raise."""
    return not (folder / FILE).exists() and not (folder / CUBE / METADATA).exists()


def _separate(place: Path, before: StoredArray | None, now: StoredArray | None, sizes: ChunkSizes) -> None:
    """Rewrite a variable with chunks that readers of an earlier store cannot decode."""
    is_same_file = before is not None and now is not None and before.chunks_digest == now.chunks_digest
    if is_same_file or (before is None and not sizes.known):
        return
    if before is not None:
        sizes.remember(before)
    if now is None:
        return
    clashes = now.clashes_with(place)
    if now.chunks_digest == sizes.first and not clashes:
        return  # the first cube again: right for its readers
    if before is not None and now.has_numbers_of(before):
        now.repack(before.chunks, before.separator)
        return
    larger = now.larger_than(sizes.largest)
    if larger != now.chunks or clashes:
        now.repack(larger, "." if clashes else now.separator)


def _merge(partial: Path, cube: Path) -> None:
    """Replace file by file: chunks first, then the metadata of variables, of groups, and of all at last."""
    for group in _subgroups(cube):  # opened by itself meanwhile, a group is whole or not there
        group.unlink()
    names = [path.relative_to(partial) for path in _files(partial)]
    _bury(cube, names)
    arrays = {path.relative_to(partial) for path in _files(partial) if _is_array(path)}
    order = [
        [name for name in names if name.name != METADATA],
        [name for name in names if name in arrays],
        [name for name in names if name.name == METADATA and name not in arrays and len(name.parts) > 1],
        [name for name in names if len(name.parts) == 1],
    ]
    for name in [name for some in order for name in some]:
        (cube / name).parent.mkdir(parents=True, exist_ok=True)
        (partial / name).replace(cube / name)
    kept = set(names)
    for path in _files(cube):
        if path.name == METADATA and path.relative_to(cube) not in kept:
            path.unlink()
    sync_all([cube, *(path for path in cube.rglob("*") if path.is_dir())])


def _bury(cube: Path, kept: Iterable[Path]) -> None:
    """Write over the chunks that are not kept: Zarr reads a missing one as NaN."""
    names = set(kept)
    for grave in cube.rglob(f"*{PARTIAL}"):  # of a process that died here
        grave.unlink()
    for path in _files(cube):
        if path.name != METADATA and path.relative_to(cube) not in names and read_regular(path) != TOMBSTONE:
            grave = path.with_name(f"{path.name}{PARTIAL}")
            grave.write_bytes(TOMBSTONE)
            grave.replace(path)


def _subgroups(cube: Path) -> Iterator[Path]:
    return (path for path in _files(cube) if path.name == METADATA and path.parent != cube and not _is_array(path))


def _is_array(path: Path) -> bool:
    return path.name == METADATA and path.parent.name != "" and StoredArray.is_one(path.parent)


def _files(folder: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(path for path in folder.rglob("*") if path.is_file())
    return []
