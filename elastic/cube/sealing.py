"""Sealing the cube: building a Zarr store in a temporary folder, verifying and renaming it, writing the manifest.

A cube counts as sealed once it has a manifest, which is written last. If the process is killed before, the journals
remain, from which the same bytes are sealed again.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import xarray as xr
from zarr.abc.buffer import Buffer
from zarr.codecs import ZstdCodec
from zarr.storage import MemoryStore

from elastic.cube.atomic import make_folder, remove_partials, sync_all, translate_os_errors
from elastic.cube.manifest import CUBE, FILE, write_manifest
from elastic.cube.names import COORDINATES
from elastic.cube.opening import open_store, without_warnings
from elastic.cube.ownership import waiting_lock
from elastic.cube.portable import mapped, with_fixed_width
from elastic.cube.reading_store import FolderStore
from elastic.cube.replacing import replace_store
from elastic.cube.streaming import fill, incomplete, is_same, is_streamed, without_numbers
from elastic.errors import RecordsChanged, StudyError

LOCK = ".sealing.lock"

#: Number of attempts to assemble a cube whose records change while they are read.
ATTEMPTS = 5

#: A variable up to this size is one chunk, in bytes.
CHUNK = 8 * 2**20


def seal(tree: xr.DataTree | Callable[[], xr.DataTree | None], folder: Path, extra: Iterable[Path] = ()) -> None:
    """Write a cube to ``cube.zarr`` in a study's folder, with its manifest; the result is deterministic.

    Parameters
    ----------
    tree
        The cube from `elastic.cube.assemble`, or a function that returns it, called while no other process seals; None
        keeps the sealed cube. Strings are written with fixed width.
    folder
        Folder of the study. A cube sealed there before is replaced.
    extra
        More files of the folder to list in the manifest.

    Raises
    ------
    StudyError
        If the store does not read back as the tree, or cannot be written (disk full, …).
    """
    folder = Path(folder)
    with translate_os_errors(folder / CUBE):
        make_folder(folder)
        # The holder of the lock may remove unfinished files: their writers are dead.
        with waiting_lock(folder / LOCK, "seal the cube") as lock:
            built = _built(tree, folder)
            if built is None:
                return
            lock.check()
            with without_warnings():
                replace_store(built, folder)
            write_manifest(folder, extra)
            _clear(folder, "partial", "replaced")


def _built(tree: xr.DataTree | Callable[[], xr.DataTree | None], folder: Path) -> Path | None:
    """Return a store of a cube, written and verified; None if there is nothing to seal."""
    for attempt in range(ATTEMPTS):
        built = tree() if callable(tree) else tree
        if built is None:
            return None
        _clear(folder, "partial")
        partial = folder / f"{CUBE}.partial-{os.getpid()}"
        try:
            fixed = mapped(built, with_fixed_width)
            _verify(fixed, partial, _write(fixed, partial))
            return partial
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            # Another process has compacted a run since its records were found, or recorded it again.
            if not (isinstance(error, RecordsChanged) and callable(tree) and attempt < ATTEMPTS - 1):
                raise
    raise AssertionError("the last attempt returns or raises")


def _write(tree: xr.DataTree, store: Path) -> dict[str, list[bytes]]:
    """Write a store; return the digests of what `elastic.cube.streaming.fill` has written.

    What is in memory is encoded there and then written file by file: Zarr would hand each small file to a thread of its
    own, which takes twice as long.
    """
    files: dict[str, Buffer] = {}
    with without_warnings():
        encoded, empty = MemoryStore(files), without_numbers(tree)
        empty.to_zarr(encoded, mode="w-", zarr_format=3, consolidated=True, encoding=_encoding(tree))
    for name in sorted(files):
        path = store / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files.pop(name).to_bytes())
    digests = fill(tree, store)
    sync_all(_below(store))
    return digests


def _below(folder: Path) -> Iterator[Path]:
    """Yield everything in a folder, and the folder itself last."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _below(path)
        else:
            yield path
    yield folder


def _encoding(tree: xr.DataTree) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        node.path: {
            str(name): {
                "chunks": _chunks(variable) or None,
                "compressors": [ZstdCodec(level=5, checksum=True)],
                # A chunk of NaN only is written too, so that one that is not there was lost.
                "write_empty_chunks": not is_streamed(variable),
            }
            for name, variable in node.to_dataset(inherit=False).variables.items()
        }
        for node in tree.subtree
    }


def _chunks(variable: xr.Variable) -> tuple[int, ...]:
    """Return the chunks' shape: all of it, or parts along the axes, then the layers, and never along the epochs.

    >>> import numpy as np
    >>> _chunks(xr.Variable(("seed", "epoch", "layer"), np.zeros((3, 350, 8))))
    (3, 350, 8)
    >>> _chunks(xr.Variable(("seed", "epoch", "layer"), np.broadcast_to(0.0, (4, 350, 1024))))
    (2, 350, 1024)
    """
    chunks = [max(1, length) for length in variable.shape]
    epoch = variable.dims.index("epoch") if "epoch" in variable.dims else len(variable.dims)
    axes = [i for i, dim in enumerate(variable.dims[:epoch]) if dim not in COORDINATES]
    layers = [i for i, dim in enumerate(variable.dims) if dim == "layer"]
    for i in axes + layers:
        size = math.prod(chunks) * max(1, variable.dtype.itemsize)
        if size > CHUNK:
            chunks[i] = max(1, CHUNK * chunks[i] // size)
    return tuple(chunks)


def _verify(tree: xr.DataTree, store: Path, digests: Mapping[str, list[bytes]]) -> None:
    written = FolderStore(store)
    asked, stored = (_variables(t) for t in (tree, open_store(written)))

    def is_as_asked(name: str) -> bool:
        one, other = asked.get(name), stored.get(name)
        if one is None or other is None:
            return False
        return is_same(one, other, _chunks(one), digests.get(name.strip("/")))

    wrong = [name for name in asked.keys() | stored.keys() if not is_as_asked(name)]
    with without_warnings():
        wrong += incomplete(written)
    if wrong:
        hint = "running again; if it stays so, another disk"
        raise StudyError(f"`{CUBE}`", "read back as it was written", f"other {', '.join(sorted(set(wrong)))}", hint)


def _variables(tree: xr.DataTree) -> dict[str, xr.Variable]:
    """Return everything in a tree by its path; a group's own attributes are a variable without numbers."""
    variables = {}
    for node in tree.subtree:
        dataset = node.to_dataset(inherit=False)
        variables[node.path] = xr.Variable((), 0, dataset.attrs)
        for name, variable in dataset.variables.items():
            variables[f"{node.path.rstrip('/')}/{name}"] = variable
    return variables


def _clear(folder: Path, *kinds: str) -> None:
    """Remove unfinished manifests and stores of killed processes."""
    remove_partials(folder, FILE)
    for kind in kinds:
        for path in folder.glob(f"{CUBE}.{kind}-*"):
            shutil.rmtree(path)
