"""Opening a sealed cube lazily; every file is checked against the manifest on reading."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from elastic.cube.manifest import CUBE, FILE, missing_files, read_manifest
from elastic.cube.optimized_zarr import mend
from elastic.cube.portable import portable
from elastic.cube.sealed_store import DamagedCube, SealedStore, repair_hint
from elastic.errors import StudyError
from elastic.registry import shorten

mend()


def open_sealed(folder: Path) -> xr.DataTree:
    """Open a sealed cube lazily.

    Every file that is read is compared with the manifest from the time of opening: damaged or missing files, and a cube
    that was sealed again, raise an error and never give values.

    Plain xarray opens ``cube.zarr`` without this comparison. Its open trees return the values of the cube that they
    opened, or raise, whatever elastic does meanwhile (extend, seal again, repair, ``--restart``), also for flipped bits
    in chunks. But they read NaN if a chunk, or the whole store, is deleted by other means, and other values if another
    store replaces this one; only this function detects these cases.

    Cubes of earlier versions get current names, strings and attributes (`elastic.cube.portable`); their files stay
    unchanged.

    Raises
    ------
    StudyError
        If the study has no sealed cube.
    SealedAgain
        Also later, as numbers are read: if another cube has been sealed since.
    Damaged
        Also later, as numbers are read: if a file of the cube is missing, or not as it was sealed.
    """
    folder = Path(folder)
    listed = read_manifest(folder)
    missing = missing_files(folder, listed)
    if missing or not listed:
        without = not (folder / FILE).exists()
        expected = f"be a sealed cube, whole and listed in {FILE}"
        found = "no manifest" if without else f"files missing: {shorten(missing)}" if missing else f"a damaged {FILE}"
        error = StudyError if without else DamagedCube
        raise error(f"`{CUBE}`", expected, found, repair_hint(folder), place=str(folder / (missing or [FILE])[0]))
    store = SealedStore(folder, listed)
    store.read("zarr.json")  # names, shapes and attributes of all variables: checked before Zarr fails on them
    return portable(open_store(store))


def open_store(store: Any) -> xr.DataTree:
    """Return the tree in a Zarr store, or at its path, lazily."""
    with without_warnings():
        # Numbers stay numbers: a variable in seconds is no timedelta.
        return xr.open_datatree(store, engine="zarr", chunks=None, decode_times=False, decode_timedelta=False)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Suppress zarr-python's warnings about the Zarr extensions that a cube uses.

    Strings of fixed width are an extension of its own, but only they come back as xarray plots them (those of any
    length, in cubes of earlier versions, are one too); every reader of today knows consolidated metadata: one request
    opens a cube, on a disk or in a bucket.
    """
    extensions = (r"data type \(FixedLengthUTF32\(", "codec `vlen-utf8` is currently not part")
    with warnings.catch_warnings():
        for message in (*(f"The {one}" for one in extensions), "Consolidated metadata is currently not part"):
            warnings.filterwarnings("ignore", message=message)
        yield
